-- The control state: one packed string with everything that is small (admission, clock, fair shares, quotas and
-- deployments without their logs). A script loads it, changes it, and saves it once at its end.
--
-- Every script is called with
--   KEYS[1]  "{tag}:state". All other keys are derived from it and share its hash tag, so they live on one node.
--   ARGV[1]  the logical time, in ms, that the calling process expects at least; '' if it has none yet
--   ARGV[2]  the calling process's wall clock, ms since the epoch (daily quotas reset by it)
--   ARGV[3]  '' or, in tests, what to take for the server's clock, in ms
--   ARGV[4]  and so on: see each script
-- and answers { header, reply... } with header = { sequence, epoch, logical now, configuration version }, or the error
-- NOSTATE if Redis holds nothing (it was emptied, or is new).
local call = redis.call
local prefix = string.sub(KEYS[1], 1, -6)
local infinity = math.huge

-- Set by state.load.
local control, config, now

local state = {}

-- Keys of the present generation. A rebuild starts a new one, so that dropping everything costs nothing.
local generationPrefix
local function key(name)
  return generationPrefix .. name
end

local function useGeneration()
  generationPrefix = prefix .. string.format('%.0f', control.generation) .. ':'
end

-- A clock that differs by more than this from what the caller's monotonic clock expects has been stepped. A request that
-- was under way for longer is taken for a step: then time runs late by as much, once, which only makes jobs wait.
local stepMs = 1000

-- Logical time: the server's clock plus an offset that absorbs its steps. It never goes backwards.
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

-- The id changes with every start of the server, and when a replica takes over: what it holds may then be old.
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

-- Control state of an empty scheduler, closed until it has been rebuilt.
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
    -- Keys of what an operator has paused: see pauses.ts.
    paused = {},
    nextExpiry = infinity,
    quotas = {},
    deployments = {},
  }
  useGeneration()
end

-- What is to be written at the end of a script besides the control state.
local flushes = {}

-- Saves, and answers the reply with its header in front. (No number that Redis answers has a fraction.)
function state.done(...)
  for _, flush in ipairs(flushes) do flush() end
  control.sequence = control.sequence + 1
  call('SET', KEYS[1], cmsgpack.pack(control))
  return { { control.sequence, control.epoch, now, config.version }, ... }
end

-- Why the jobs of an owner are paused: the key of that; nil if they are not.
function state.pausedOwner(environment, tenant)
  for _, name in ipairs({ 'tenant\n' .. tenant, 'tenant_in\n' .. environment .. '\n' .. tenant }) do
    if control.paused[name] then return name end
  end
  return nil
end

function state.notify()
  call('PUBLISH', prefix .. 'work', '')
end

-- Tells all processes that there may be something to take. Not if nothing waits: then there is nothing to take.
function state.wake()
  if control.admission ~= 'open' then return end
  local waiting = next(control.booked) ~= nil
  for _, environment in ipairs(control.environments) do
    if environment.waiting > 0 then waiting = true end
    for _, priority in ipairs(environment.priorities) do
      if priority.delayed > 0 then waiting = true end
    end
  end
  if waiting then state.notify() end
end

-- Before this time a job that no deployment can ever serve waits for another configuration.
function state.impossibleFrom()
  return (control.configuredAt or -infinity) + (config.missingModelWaitMs or 0)
end

function state.isOpen()
  return control.admission == 'open'
end

-- 'open', 'rebuilding', or 'rebuild': somebody has to begin one, also when whoever began it has gone silent.
function state.admission()
  if control.admission == 'rebuilding' and now >= control.lockedUntil then return 'rebuild' end
  return control.admission
end

-- The reply to an operation is kept as long as a lease, for a caller that repeats it because the reply was lost.
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
