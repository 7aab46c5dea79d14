-- The tree of fair shares: environment -> priority -> tenant (a "flow"). Environments and priorities are few and part
-- of the control state. Flows may be many: each is a packed field of a hash, read when used and written at the end.
--- @include "state"
local shares = {}

-- A priority with more flows than this sweeps idle ones, a few at a time. (The scheduler in memory sweeps them all at
-- once; a script must not stop the server for that.)
local sweepAbove = 256
local sweepEach = 8

-- Flows read or created by this script, by id.
local flowsRead = {}
local tenantWeights = {}
-- Priorities used by this script, with their environments, by the environment's and the priority's name.
local pathsRead = {}

local function find(list, name)
  for _, item in ipairs(list) do
    if item.name == name then return item end
  end
  return nil
end

local function newShare(list, name)
  control.lastShare = control.lastShare + 1
  local share = { name = name, id = control.lastShare, virtualTime = 0, turn = 0, waiting = 0, current = 0 }
  table.insert(list, share)
  return share
end

local function environmentOf(name)
  local environment = find(control.environments, name)
  if not environment then
    environment = newShare(control.environments, name)
    environment.priorities = {}
  end
  return environment
end

-- Returns a priority and its environment. Creates both if necessary.
function shares.priorityOf(environmentName, name)
  local found = pathsRead[environmentName] and pathsRead[environmentName][name]
  if found then return found.priority, found.environment end
  local environment = environmentOf(environmentName)
  local priority = find(environment.priorities, name)
  if not priority then
    priority = newShare(environment.priorities, name)
    priority.ready = {}
    priority.delayed = 0
    -- Ready and delayed jobs by route.
    priority.readyIn = {}
    priority.delayedIn = {}
    priority.flows = 0
  end
  pathsRead[environmentName] = pathsRead[environmentName] or {}
  pathsRead[environmentName][name] = { priority = priority, environment = environment }
  return priority, environment
end

local function flowName(priority, tenant)
  return string.format('%.0f', priority.id) .. ':' .. tenant
end

-- Whether a flow is behind another of the same parent.
function shares.isBehind(a, b)
  return a.virtualTime < b.virtualTime or (a.virtualTime == b.virtualTime and a.turn < b.turn)
end

function shares.path(flow)
  local priority, environment = shares.priorityOf(flow.environment, flow.priority)
  return { flow, priority, environment }
end

-- Returns the flow with this id, or nil if it was dropped. The caller must not change it.
function shares.peek(id)
  local flow = flowsRead[id]
  if flow then return flow end
  local packed = call('HGET', key('flows'), string.format('%.0f', id))
  return packed and cmsgpack.unpack(packed) or nil
end

-- Returns the flow with this id, or nil if it was dropped. It is written at the end of the script.
function shares.flow(id)
  local flow = shares.peek(id)
  flowsRead[id] = flow
  return flow
end

-- Drops idle flows that would start at the current virtual time anyway.
local function sweep(priority)
  local idle = key('idle:' .. string.format('%.0f', priority.id))
  for _, id in ipairs(call('ZRANGEBYSCORE', idle, '-inf', string.format('%.0f', priority.current), 'LIMIT', 0, sweepEach)) do
    local flow = shares.flow(tonumber(id))
    if flow.virtualTime > priority.current then
      -- Its service was counted after it became idle.
      call('ZADD', idle, string.format('%.0f', flow.virtualTime), id)
    else
      call('ZREM', idle, id)
      call('HDEL', key('flows'), id)
      call('HDEL', key('flow_ids'), flowName(priority, flow.tenant))
      flowsRead[flow.id] = nil
      priority.flows = priority.flows - 1
    end
  end
end

-- Returns the flow of an owner. Creates it if necessary.
function shares.flowOf(environmentName, priorityName, tenant)
  local priority = shares.priorityOf(environmentName, priorityName)
  local name = flowName(priority, tenant)
  local id = call('HGET', key('flow_ids'), name)
  if id then return shares.flow(tonumber(id)) end
  if priority.flows >= sweepAbove then sweep(priority) end
  control.lastFlow = control.lastFlow + 1
  local flow = {
    id = control.lastFlow,
    environment = environmentName,
    priority = priorityName,
    tenant = tenant,
    virtualTime = priority.current,
    turn = 0,
    waiting = 0,
    -- Number of known jobs, waiting or running.
    jobs = 0,
    -- { route, size } of each queue, in the order in which the queues became non-empty.
    queues = {},
  }
  priority.flows = priority.flows + 1
  call('HSET', key('flow_ids'), name, string.format('%.0f', flow.id))
  flowsRead[flow.id] = flow
  return flow
end

-- Counts a job of a flow in or out.
function shares.count(flow, difference)
  flow.jobs = flow.jobs + difference
  if flow.jobs ~= 0 and flow.jobs ~= difference then return end
  local priority = shares.priorityOf(flow.environment, flow.priority)
  local idle = key('idle:' .. string.format('%.0f', priority.id))
  local id = string.format('%.0f', flow.id)
  if flow.jobs == 0 then
    call('ZADD', idle, string.format('%.0f', flow.virtualTime), id)
  else
    call('ZREM', idle, id)
  end
end

-- Counts a ready or delayed job of a priority in or out. `field` is 'readyIn' or 'delayedIn', and `all` the number of
-- such jobs before. Earlier versions do not count by route, so the counts restart whenever there are no such jobs.
function shares.countIn(priority, field, all, route, difference)
  local counts = all > 0 and priority[field] or {}
  local count = (counts[route] or 0) + difference
  counts[route] = count > 0 and count or nil
  priority[field] = counts
end

function shares.weightOf(share, level)
  if level == 1 then
    local weight = tenantWeights[share.tenant]
    if not weight then
      weight = config.hasTenantWeights and tonumber(call('HGET', prefix .. 'tenant_weights', share.tenant) or nil) or 1
      tenantWeights[share.tenant] = weight
    end
    return weight
  end
  return (level == 2 and config.weights.priorities or config.weights.environments)[share.name] or 1
end

table.insert(flushes, function()
  local fields = {}
  for id, flow in pairs(flowsRead) do
    table.insert(fields, string.format('%.0f', id))
    table.insert(fields, cmsgpack.pack(flow))
    if #fields == 1000 then
      call('HSET', key('flows'), unpack(fields))
      fields = {}
    end
  end
  if #fields > 0 then call('HSET', key('flows'), unpack(fields)) end
end)
