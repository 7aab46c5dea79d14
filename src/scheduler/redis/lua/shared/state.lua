-- The control state: one packed string with everything that is small (admission, clock, fair shares, quotas and
-- deployments without their logs). A script loads it, changes it, and saves it once at its end.
--
-- Every script takes
--   KEYS[1]  state: "{tag}:state". All other keys are derived from it and share its hash tag, so they are on one node.
--   ARGV[1]  expected: the least logical time that the caller expects, in ms; '' if it has none yet
--   ARGV[2]  wall: the caller's wall clock, in ms since the epoch (daily quotas reset by it)
--   ARGV[3]  server: '' or, in tests, what to use as the server's clock, in ms
--   ARGV[4]  and so on: see each script
-- It returns { header, result... } with header = { sequence, epoch, logical now in ms, configuration version }. It
-- returns the error NOSTATE if Redis holds nothing, because it was emptied or is new.
-- Lua looks up a global variable by name at each use, but not a local one.
local call, ipairs, pairs, next, type, tonumber = redis.call, ipairs, pairs, next, type, tonumber
local math, table, string, struct, cmsgpack = math, table, string, struct, cmsgpack
local prefix = string.sub(KEYS[1], 1, -6)
local infinity = math.huge

-- Set by state.load.
local control, config, now

local state = {}

-- Prefix of the keys of the present generation. A rebuild starts a new generation, so that dropping everything is free.
local generationPrefix
local function key(name)
  return generationPrefix .. name
end

local function useGeneration()
  generationPrefix = prefix .. string.format('%.0f', control.generation) .. ':'
end

-- Runs a command with a list of arguments, in calls of at most 1,000 each, because Lua limits `unpack`.
function state.callMany(command, name, list)
  for from = 1, #list, 1000 do call(command, name, unpack(list, from, math.min(#list, from + 999))) end
end

-- A clock that differs by more than this from what the caller's monotonic clock expects was stepped. A request that was
-- under way for longer looks like a step. Time then runs late by as much, once, which only makes jobs wait.
local stepMs = 1000

-- Sets logical time: the server's clock plus an offset that absorbs its steps. It never goes backwards.
function state.tick()
  local server = tonumber(ARGV[3])
  if not server then
    local time = call('TIME')
    server = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    state.wall = math.min(server, tonumber(ARGV[2]))
  else
    state.wall = tonumber(ARGV[2])
  end
  local expected = tonumber(ARGV[1])
  now = server + control.offset
  if expected and (now < expected or now - expected > stepMs) then now = expected end
  if control.now and now < control.now then now = control.now end
  control.offset = now - server
  control.now = now
end

-- The run id changes with every start of the server, and when a replica takes over. Its data may then be old.
local function serverRun()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
end

function state.load()
  local packed = call('MGET', KEYS[1], prefix .. 'config')
  if not packed[1] or not packed[2] then return false end
  control = cmsgpack.unpack(packed[1])
  useGeneration()
  config = cmsgpack.unpack(packed[2])
  local run = serverRun()
  if control.run ~= run then
    control.run = run
    control.admission = 'rebuild'
    control.ticket = nil
  end
  state.tick()
  return true
end

-- Creates the control state of an empty scheduler, closed until a rebuild.
function state.fresh(generation, epoch)
  control = {
    generation = generation,
    epoch = epoch,
    sequence = 0,
    run = serverRun(),
    admission = 'rebuild',
    offset = 0,
    lastRoute = 0,
    lastFlow = 0,
    lastChunk = 0,
    lastShare = 0,
    serial = 0,
    turns = 0,
    current = 0,
    environments = {},
    routeJobs = {},
    booked = {},
    estimates = 0,
    running = 0,
    bookings = 0,
    -- Keys of what an operator paused: see pause-scopes.ts.
    paused = {},
    nextExpiry = infinity,
    quotas = {},
    deployments = {},
  }
  useGeneration()
end

-- Functions that write the rest of the state at the end of a script.
local flushes = {}

-- Saves, and returns the result after its header. (No number that Redis returns has a fraction.)
function state.done(...)
  for _, flush in ipairs(flushes) do flush() end
  control.sequence = control.sequence + 1
  call('SET', KEYS[1], cmsgpack.pack(control))
  return { { control.sequence, control.epoch, now, config.version }, ... }
end

-- Returns the key of the pause that applies to the jobs of an owner, or nil.
function state.pausedOwner(environment, tenant)
  if not next(control.paused) then return nil end
  for _, name in ipairs({ 'tenant\n' .. tenant, 'tenant_in\n' .. environment .. '\n' .. tenant }) do
    if control.paused[name] then return name end
  end
  return nil
end

-- Key of the sorted set of idle processes, scored by when they became idle. Each is the JSON of { id, environments or
-- false for all, whether it serves all deployments }. A process leaves the set when it is notified, and returns with
-- its next acquire that leaves slots free. (This is a field, because Lua allows 200 locals.)
state.idle = prefix .. 'idle'

-- Notifies every process of a change that concerns all of them. The set of idle processes may not hold after it, and
-- each process returns to it when it asks.
function state.notifyAll()
  call('DEL', state.idle)
  call('PUBLISH', prefix .. 'work', '')
end

-- Returns the set of environments with waiting jobs, or nil without any. A booked job counts for all environments.
function state.waiting()
  local waiting = {}
  for _, environment in ipairs(control.environments) do
    local waits = environment.waiting > 0 or next(control.booked) ~= nil
    for _, priority in ipairs(environment.priorities) do
      if priority.delayed > 0 then waits = true end
    end
    if waits then waiting[environment.name] = true end
  end
  return next(waiting) and waiting
end

function state.servesAny(served, waiting)
  if not served then return true end
  for _, name in ipairs(served) do
    if waiting[name] then return true end
  end
  return false
end

-- Returns whether processes that were notified and have not asked yet serve all environments with waiting jobs.
function state.isNoticed(waiting)
  local noticed = control.noticed
  if not noticed then return noticed == false end
  for name in pairs(waiting) do
    if not noticed[name] then return false end
  end
  return true
end

-- Records that a process will ask. `environments` lists what it serves; false for all. They become a set, or false for
-- all. The next acquire of any process resets this.
function state.addNoticed(environments)
  if not environments or control.noticed == false then
    control.noticed = false
    return
  end
  control.noticed = control.noticed or {}
  for _, name in ipairs(environments) do control.noticed[name] = true end
end

-- Notifies idle processes that acquire may have something to grant, unless nothing waits: one for each environment with
-- waiting jobs, because which of these jobs can start is not known here. One that serves several environments is enough
-- for them. A process that has died receives nothing, so the next one is notified. So is the next one if a process does
-- not serve all deployments, because it may have to leave the job to another. `unlessNoticed`: notifies none if notified
-- processes are about to ask.
function state.wake(unlessNoticed)
  if control.admission ~= 'open' then return end
  local waiting = state.waiting()
  if not waiting or (unlessNoticed and state.isNoticed(waiting)) then return end
  for _, process in ipairs(call('ZRANGE', state.idle, 0, -1)) do
    local id, environments, servesAll = unpack(cjson.decode(process))
    if state.servesAny(environments, waiting) then
      call('ZREM', state.idle, process)
      if call('PUBLISH', prefix .. 'work:' .. id, '') > 0 and servesAll then
        state.addNoticed(environments)
        for _, name in ipairs(environments or {}) do waiting[name] = nil end
        if not environments or not next(waiting) then return end
      end
    end
  end
end

-- Records whether a process is idle. `served` lists the deployments that it serves; nil for all.
function state.setIdle(id, environments, served, isIdle)
  local isServed, servesAll = {}, true
  for _, deployment in ipairs(served or {}) do isServed[deployment] = true end
  for _, deployment in ipairs(config.deployments) do
    if served and not isServed[deployment] then servesAll = false end
  end
  local process = cjson.encode({ id, environments or false, servesAll })
  if isIdle then
    call('ZADD', state.idle, string.format('%.0f', now), process)
  else
    call('ZREM', state.idle, process)
  end
end

-- Before this time a job that no deployment can ever serve waits for a new configuration.
function state.impossibleFrom()
  return (control.configuredAt or -infinity) + (config.missingModelWaitMs or 0)
end

function state.isOpen()
  return control.admission == 'open'
end

-- Returns 'open', 'rebuilding', or 'rebuild' if a process must begin a rebuild. That is so too if the process that
-- began one has done nothing for a lease period.
function state.admission()
  if control.admission == 'rebuilding' and now >= control.lockedUntil then return 'rebuild' end
  return control.admission
end

-- A reply is kept as long as a lease, for a caller that repeats an operation because its reply was lost.
function state.earlierReply(operation)
  local packed = call('GET', key('reply:' .. operation))
  return packed and cmsgpack.unpack(packed)
end

function state.keepReply(operation, reply)
  call('SET', key('reply:' .. operation), cmsgpack.pack(reply), 'PX', string.format('%.0f', config.leaseMs))
  return reply
end

local function contains(list, item)
  for _, other in ipairs(list) do
    if other == item then return true end
  end
  return false
end
