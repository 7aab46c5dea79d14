-- Weighted fair queueing by virtual time over the tree of shares: see fair-queue.ts. The arithmetic, the ties and the
-- order are the same. For each priority and route, a sorted set holds the flows that have a job waiting in that route.
-- It is sorted by virtual time and then by `turn`, the sequence number of becoming active. Scores are whole numbers
-- below 2^53, which doubles hold exactly.
--- @include "state"
--- @include "shares"
--- @include "sorted_queue"
local fair_queue = {}

local maxLag = 60000000
local rebaseAt = 2 ^ 52

-- Flows left out of `next` until the end of an acquire, as a list and by flow and route.
local passedOver = {}
local isPassedOver = {}
-- The flow at the front of each sorted set of flows, as long as it is known.
local readyFronts = {}

-- Returns the key of the jobs of a flow in one route.
function fair_queue.queueKey(flow, route)
  return key(string.format('queue:%.0f:%.0f', flow.id, route))
end

local function readyKey(priority, route)
  return key(string.format('ready:%.0f:%.0f', priority.id, route))
end

-- Positive doubles compare like their bytes, so `turn` orders flows of equal virtual time.
local function readyMember(flow)
  return struct.pack('>dd', flow.turn, flow.id)
end

local function queueIn(flow, route)
  for index, queue in ipairs(flow.queues) do
    if queue.route == route then return queue, index end
  end
  return nil
end

local function readyIn(priority, route)
  for index, ready in ipairs(priority.ready) do
    if ready.route == route then return ready, index end
  end
  return nil
end

local function passKey(flow, route)
  return string.format('%.0f:%.0f', flow.id, route)
end

local function addReady(priority, route, flow)
  local set = readyKey(priority, route)
  call('ZADD', set, string.format('%.0f', flow.virtualTime), readyMember(flow))
  readyFronts[set] = nil
end

local function enterReady(priority, route, flow)
  local ready = readyIn(priority, route)
  if not ready then
    ready = { route = route, size = 0 }
    table.insert(priority.ready, ready)
  end
  ready.size = ready.size + 1
  addReady(priority, route, flow)
end

-- Takes a flow out of a sorted set; `keep` leaves an empty set where it is among the others.
local function leaveReady(priority, route, flow, keep)
  local ready, index = readyIn(priority, route)
  if not isPassedOver[passKey(flow, route)] then
    local set = readyKey(priority, route)
    call('ZREM', set, readyMember(flow))
    readyFronts[set] = nil
    ready.size = ready.size - 1
  end
  if ready and ready.size == 0 and not keep then table.remove(priority.ready, index) end
end

-- Updates the position of a flow whose virtual time changed.
local function reposition(flow, priority)
  for _, queue in ipairs(flow.queues) do
    if not isPassedOver[passKey(flow, queue.route)] then addReady(priority, queue.route, flow) end
  end
end

local function start(share, current)
  share.virtualTime = math.max(share.virtualTime, current)
  control.turns = control.turns + 1
  share.turn = control.turns
end

-- Moves nodes that were idle to their parent's current virtual time.
local function activate(flow, priority, environment)
  if environment.waiting == 0 then start(environment, control.current) end
  if priority.waiting == 0 then start(priority, environment.current) end
  start(flow, priority.current)
end

function fair_queue.push(flow, route, job)
  local priority, environment = shares.priorityOf(flow.environment, flow.priority)
  local queue = queueIn(flow, route)
  if not queue then
    queue = { route = route, size = 0 }
    table.insert(flow.queues, queue)
  end
  if flow.waiting == 0 then activate(flow, priority, environment) end
  sorted_queue.insert(fair_queue.queueKey(flow, route), job)
  queue.size = queue.size + 1
  shares.countIn(priority, 'readyIn', priority.waiting, route, 1)
  flow.waiting = flow.waiting + 1
  priority.waiting = priority.waiting + 1
  environment.waiting = environment.waiting + 1
  if queue.size == 1 then enterReady(priority, route, flow) end
end

-- Removes a job that is waiting here.
function fair_queue.remove(flow, route, job)
  local priority, environment = shares.priorityOf(flow.environment, flow.priority)
  sorted_queue.remove(fair_queue.queueKey(flow, route), job)
  local queue, index = queueIn(flow, route)
  queue.size = queue.size - 1
  shares.countIn(priority, 'readyIn', priority.waiting, route, -1)
  flow.waiting = flow.waiting - 1
  priority.waiting = priority.waiting - 1
  environment.waiting = environment.waiting - 1
  if queue.size > 0 then return end
  table.remove(flow.queues, index)
  leaveReady(priority, route, flow)
end

-- Returns how many jobs of a flow wait in a route.
function fair_queue.waitingIn(flow, route)
  local queue = queueIn(flow, route)
  return queue and queue.size or 0
end

-- Returns the flow that is furthest behind among those with a job waiting in a route.
local function frontOf(priority, route)
  local set = readyKey(priority, route)
  local front = readyFronts[set]
  if front == nil then
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    front = false
    if first[1] then
      local turn, id = struct.unpack('>dd', first[1])
      front = { virtualTime = tonumber(first[2]), turn = turn, id = id }
    end
    readyFronts[set] = front
  end
  return front
end

-- Whether a flow and route go before another: the flow that is behind. Within one flow the route with the oldest job
-- wins.
local function precedes(flow, route, other)
  if flow.id ~= other.flow.id then return shares.isBehind(flow, other.flow) end
  local own = shares.flow(flow.id)
  local sortKey = sorted_queue.head(fair_queue.queueKey(own, route))
  return sorted_queue.isBefore(sortKey, sorted_queue.head(fair_queue.queueKey(own, other.route)))
end

-- Returns the next job as its flow, route and sort key; nil if no job waits in an open route. The job stays in the
-- queue.
function fair_queue.next(closed, environments)
  local best
  for _, environment in ipairs(control.environments) do
    local isServed = environment.waiting > 0 and (not environments or contains(environments, environment.name))
    if isServed and (not best or shares.isBehind(environment, best.environment)) then
      local inside
      for _, priority in ipairs(environment.priorities) do
        if not inside or shares.isBehind(priority, inside.priority) then
          for _, ready in ipairs(priority.ready) do
            local flow = not closed[ready.route] and ready.size > 0 and frontOf(priority, ready.route)
            if flow and (not inside or inside.priority ~= priority or precedes(flow, ready.route, inside)) then
              inside = { environment = environment, priority = priority, flow = flow, route = ready.route }
            end
          end
        end
      end
      best = inside or best
    end
  end
  if not best then return nil end
  local flow = shares.flow(best.flow.id)
  return flow, best.route, sorted_queue.head(fair_queue.queueKey(flow, best.route))
end

-- Returns ids of flows with jobs waiting in a route, or in any route if it is nil: the `limit` furthest behind in each.
function fair_queue.furthestBehind(priority, route, limit)
  local found = {}
  for _, ready in ipairs(priority.ready) do
    if not route or ready.route == route then
      for _, member in ipairs(call('ZRANGE', readyKey(priority, ready.route), 0, limit - 1)) do
        local _, id = struct.unpack('>dd', member)
        table.insert(found, id)
      end
    end
  end
  return found
end

function fair_queue.passOver(flow, route)
  leaveReady(shares.priorityOf(flow.environment, flow.priority), route, flow, true)
  isPassedOver[passKey(flow, route)] = true
  table.insert(passedOver, { flow = flow, route = route })
end

function fair_queue.restorePassedOver()
  isPassedOver = {}
  for _, passed in ipairs(passedOver) do
    local flow, route = passed.flow, passed.route
    local priority = shares.priorityOf(flow.environment, flow.priority)
    if queueIn(flow, route) then enterReady(priority, route, flow) end
  end
  passedOver = {}
end

-- Advances a node by a cost and returns its parent's new current virtual time.
local function serve(share, current, cost, weight)
  local from = math.max(share.virtualTime, current - math.ceil(maxLag / weight))
  share.virtualTime = from + math.ceil(cost / weight)
  return math.max(current, from)
end

local function lower(share, base)
  share.virtualTime = math.max(0, share.virtualTime - base)
end

-- Lowers all virtual times before they reach 2^53. It reads every flow, but only once in 140 years of quota time.
local function rebase()
  local base = math.max(0, control.current - maxLag)
  control.current = control.current - base
  local flowBase = {}
  for _, environment in ipairs(control.environments) do
    lower(environment, base)
    local priorityBase = math.max(0, environment.current - maxLag)
    environment.current = environment.current - priorityBase
    for _, priority in ipairs(environment.priorities) do
      lower(priority, priorityBase)
      flowBase[priority] = math.max(0, priority.current - maxLag)
      priority.current = priority.current - flowBase[priority]
    end
  end
  for _, id in ipairs(call('HKEYS', key('flows'))) do shares.flow(tonumber(id)) end
  for _, flow in pairs(flowsRead) do
    local priority = shares.priorityOf(flow.environment, flow.priority)
    lower(flow, flowBase[priority])
    reposition(flow, priority)
    if flow.jobs == 0 then shares.count(flow, 0) end
  end
end

-- Counts the service that a job of this flow is about to receive.
function fair_queue.charge(flow, cost)
  local priority, environment = shares.priorityOf(flow.environment, flow.priority)
  control.current = serve(environment, control.current, cost, shares.weightOf(environment, 3))
  environment.current = serve(priority, environment.current, cost, shares.weightOf(priority, 2))
  priority.current = serve(flow, priority.current, cost, shares.weightOf(flow, 1))
  reposition(flow, priority)
  if math.max(environment.virtualTime, priority.virtualTime, flow.virtualTime) > rebaseAt then rebase() end
end

-- Corrects service that was counted before, up or down. A flow that was dropped meanwhile needs no correction.
function fair_queue.correct(owner, difference)
  if difference == 0 then return end
  local flow = shares.flow(owner.flow)
  local priority, environment = shares.priorityOf(owner.environment, owner.priority)
  for level, share in pairs({ flow or false, priority, environment }) do
    if share then
      local step = math.ceil(math.abs(difference) / shares.weightOf(share, level))
      share.virtualTime = math.max(0, share.virtualTime + (difference > 0 and step or -step))
    end
  end
  if flow then reposition(flow, priority) end
end
