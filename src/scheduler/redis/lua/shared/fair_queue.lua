-- Weighted fair queueing by virtual time over the tree of shares: see fair-queue.ts. The arithmetic, the ties and the
-- order are the same. For each priority and route, a sorted set holds the flows that have a job waiting in that route.
-- It is sorted by virtual time and then by `turn`, the sequence number of becoming active. Scores are whole numbers
-- below 2^53, which doubles hold exactly.
--- @include "state"
--- @include "shares"
--- @include "sorted_queue"
--- @private
local fair_queue = {}

local maxLag = 60000000
local rebaseAt = 2 ^ 52

-- Flows left out of `next` until the end of an acquire, as a list and by route and flow.
local passedOver = {}
local isPassedOver = {}
-- What this script knows of each sorted set of flows. `front` has its lowest flows in order. `bound` is the last flow
-- that was read, and no unread flow precedes it; nil if all were read. `moved` has the flows that the set lacks at
-- their present place, and `gone` the members that it has too many. Both are written at the end, or before the next
-- read.
local readySets = {}
-- Keys of queues by flow and route. A script uses few of them, many times each.
local queueKeys = {}
local frontSize = 16

-- Returns the key of the jobs of a flow in one route.
function fair_queue.queueKey(flow, route)
  local byRoute = queueKeys[flow.id]
  if not byRoute then
    byRoute = {}
    queueKeys[flow.id] = byRoute
  end
  local name = byRoute[route]
  if not name then
    name = key(string.format('queue:%d:%d', flow.id, route))
    byRoute[route] = name
  end
  return name
end

local function readySet(priority, route)
  local byRoute = readySets[priority]
  if not byRoute then
    byRoute = {}
    readySets[priority] = byRoute
  end
  local set = byRoute[route]
  if not set then
    set = { key = key(string.format('ready:%d:%d', priority.id, route)), moved = {}, gone = {} }
    byRoute[route] = set
  end
  return set
end

-- Positive doubles compare like their bytes, so `turn` orders flows of equal virtual time.
local function readyMember(flow)
  return struct.pack('>dd', flow.turn, flow.id)
end

local function writeMoved(set)
  local scores, gone = {}, {}
  for member in pairs(set.gone) do table.insert(gone, member) end
  for flow in pairs(set.moved) do
    table.insert(scores, string.format('%.0f', flow.virtualTime))
    table.insert(scores, readyMember(flow))
  end
  -- ZREM comes first, because a flow that left and entered again may have the same member.
  state.callMany('ZREM', set.key, gone)
  state.callMany('ZADD', set.key, scores)
  set.moved, set.gone = {}, {}
end

table.insert(flushes, function()
  for _, byRoute in pairs(readySets) do
    for _, set in pairs(byRoute) do writeMoved(set) end
  end
end)

-- Returns the first `count` flows of a sorted set as Redis stores them.
local function readReady(set, count)
  writeMoved(set)
  local found = {}
  local read = call('ZRANGE', set.key, 0, count - 1, 'WITHSCORES')
  for at = 1, #read, 2 do
    local turn, id = struct.unpack('>dd', read[at])
    table.insert(found, { virtualTime = tonumber(read[at + 1]), turn = turn, id = id })
  end
  return found
end

local function dropFromFront(front, id)
  for index, other in ipairs(front) do
    if other.id == id then return table.remove(front, index) end
  end
end

local function placeInFront(set, flow)
  local front = set.front
  local place = dropFromFront(front, flow.id) or { id = flow.id }
  place.virtualTime, place.turn = flow.virtualTime, flow.turn
  if set.bound and not shares.isBehind(place, set.bound) then return end
  local index = #front
  while index > 0 and shares.isBehind(place, front[index]) do index = index - 1 end
  table.insert(front, index + 1, place)
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

local function wasPassedOver(flow, route)
  return isPassedOver[route] and isPassedOver[route][flow.id]
end

local function addReady(priority, route, flow)
  local set = readySet(priority, route)
  set.moved[flow] = true
  if set.front then placeInFront(set, flow) end
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
  if not wasPassedOver(flow, route) then
    local set = readySet(priority, route)
    set.moved[flow] = nil
    set.gone[readyMember(flow)] = true
    if set.front then dropFromFront(set.front, flow.id) end
    ready.size = ready.size - 1
  end
  if ready and ready.size == 0 and not keep then table.remove(priority.ready, index) end
end

-- Updates the position of a flow whose virtual time changed.
local function reposition(flow, priority)
  for _, queue in ipairs(flow.queues) do
    if not wasPassedOver(flow, queue.route) then addReady(priority, queue.route, flow) end
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
  local set = readySet(priority, route)
  if not set.front or (#set.front == 0 and set.bound) then
    set.front = readReady(set, frontSize)
    local last = set.front[frontSize]
    set.bound = last and { virtualTime = last.virtualTime, turn = last.turn }
  end
  return set.front[1]
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
      for _, flow in ipairs(readReady(readySet(priority, ready.route), limit)) do table.insert(found, flow.id) end
    end
  end
  return found
end

function fair_queue.passOver(flow, route)
  leaveReady(shares.priorityOf(flow.environment, flow.priority), route, flow, true)
  isPassedOver[route] = isPassedOver[route] or {}
  isPassedOver[route][flow.id] = true
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
