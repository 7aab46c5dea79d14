-- Dispatches up to `max` jobs that may run now. Translated from dispatcher.ts.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     operation: id of this call
-- ARGV[5]     request: JSON of { max, environments?, deployments?, process?, continues? }
--   process     id of the process, if it listens for notices
--   continues   whether the process has more free slots than `max` and asks again at once
-- ARGV[6..]   tokens: a grant token for each of up to `max` jobs
-- Result      { header, admission, retryInMs, grants, impossible, sendWithinMs, leaseMs, jobsWait }
--   admission   'open', or why it is closed
--   retryInMs   -1 if nothing waits
--   grants      [[job id, grant token, environment, deployment, model, input, output, grants]...]
--   impossible  [[job id, environment, reason]...]
--   jobsWait    1 if jobs still wait, else 0
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
local operation, request = ARGV[4], cjson.decode(ARGV[5])
fleet.open()
leases.expire()
if not state.isOpen() then return state.done(state.admission(), -1, {}, {}, 0, 0, 0) end
local earlier = state.earlierReply('acquire ' .. operation)
if earlier then return state.done(unpack(earlier)) end

-- Queue heads of one route that one acquire tries to fit around the route's booking.
local headsTried = 32
-- Impossible jobs that one acquire removes; the next call removes the rest.
local maxImpossible = 256

local max, environments, served = request.max, request.environments, request.deployments
local granted, impossible = {}, {}
local retryAt = infinity

local function grant(entry, deployment, model)
  entry.grants = entry.grants + 1
  local token = ARGV[6 + #granted]
  local lease = leases.add(entry, token, deployment, leases.chargeAll(deployment, entry))
  fair_queue.charge(shares.flow(entry.flow), lease.fairCost)
  table.insert(granted, {
    entry.id, token, lease.environment, deployment.id, model, entry.input, entry.output, entry.grants,
  })
end

local function cannotRun(entry, reason)
  local environment = shares.flow(entry.flow).environment
  leases.drop(entry)
  table.insert(impossible, { entry.id, environment, reason })
end

-- Grants booked jobs, which come first.
local function grantBooked()
  for _, route in ipairs(routes.booked()) do
    local entry = waiting_jobs.bookedIn(route)
    entry.suspect = suspects.get(entry.id)
    local isServed = not environments or contains(environments, shares.flow(entry.flow).environment)
    local decision = admission.decide(entry, routes.get(route).tiers, served)
    if decision.kind == 'impossible' and now < state.impossibleFrom() then
      waiting_jobs.park(entry, state.impossibleFrom())
    elseif decision.kind == 'impossible' then
      cannotRun(entry, decision.reason)
    elseif decision.kind == 'admitted' and isServed and #granted < max then
      waiting_jobs.clearBooking(entry)
      grant(entry, decision.deployment, decision.model)
    elseif decision.kind == 'blocked' and decision.parked then
      waiting_jobs.park(entry, decision.at)
    else
      retryAt = math.min(retryAt, waiting_jobs.keepBooking(entry, isServed, served))
      if isServed and decision.kind == 'blocked' then retryAt = math.min(retryAt, decision.at) end
    end
  end
end

local function grantFromQueue()
  local closed, tried = {}, {}
  while #granted < max and #impossible < maxImpossible do
    local flow, route, sortKey = fair_queue.next(closed, environments)
    if not flow then return end
    local entry = entries.get(entries.idOf(sortKey))
    entry.suspect = suspects.get(entry.id)
    local isPaused = state.pausedOwner(flow.environment, flow.tenant)
    local decision = isPaused and {} or admission.decide(entry, routes.get(route).tiers, served)
    if isPaused then
      fair_queue.passOver(flow, route)
    elseif decision.kind == 'admitted' then
      waiting_jobs.leave(entry)
      grant(entry, decision.deployment, decision.model)
    elseif decision.kind == 'impossible' and now < state.impossibleFrom() then
      retryAt = math.min(retryAt, state.impossibleFrom())
      if #routes.get(route).tiers == 0 then
        closed[route] = true
      else
        waiting_jobs.park(entry, state.impossibleFrom())
      end
    elseif decision.kind == 'impossible' then
      cannotRun(entry, decision.reason)
    elseif decision.parked then
      retryAt = math.min(retryAt, decision.at)
      waiting_jobs.park(entry, decision.at)
    else
      retryAt = math.min(retryAt, decision.at)
      tried[route] = (tried[route] or 0) + 1
      if decision.forAll or tried[route] > headsTried then
        closed[route] = true
      elseif not control.booked[route] and decision.on.kind == 'quota' then
        -- The first job that does not fit gets a start kept free for it, or smaller jobs would pass it forever.
        waiting_jobs.book(entry, served)
      else
        fair_queue.passOver(flow, route)
      end
    end
  end
end

control.noticed = nil
waiting_jobs.promote()
sorted_queue.readAhead(max)
grantBooked()
grantFromQueue()
fair_queue.restorePassedOver()

local leavesSlots = #granted < max and #impossible < maxImpossible
local retryInMs = 0
if leavesSlots then
  retryAt = math.min(retryAt, waiting_jobs.nextReadyAt())
  if control.running > 0 then retryAt = math.min(retryAt, control.nextExpiry) end
  retryInMs = retryAt < infinity and math.max(1, retryAt - now) or -1
end
-- A process without a free slot notifies an idle one, which then also knows when to try again.
if request.process then state.setIdle(request.process, environments, served, leavesSlots) end
if #granted == max and not request.continues then state.wake() end
return state.done(unpack(state.keepReply('acquire ' .. operation, {
  'open', retryInMs, granted, impossible, config.sendWithinMs, config.leaseMs, state.waiting() and 1 or 0,
})))
