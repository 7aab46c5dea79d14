-- Every known job, and where it waits: in the fair queue, until its time, or booked: see waiting-jobs.ts.
--- @include "state"
--- @include "entries"
--- @include "routes"
--- @include "shares"
--- @include "fair_queue"
--- @include "admission"
--- @include "suspects"
--- @private
local waiting_jobs = {}

-- A booked job that could start loses its booking if no worker that serves it calls within this time, in ms.
local unservedMs = 10000
-- Delayed jobs that one script moves into the queue; the next script moves the rest.
local promoteAtOnce = 1000

local function delayedKey()
  return key('delayed')
end

local function countDelayed(entry, difference)
  local flow = shares.flow(entry.flow)
  local priority = shares.priorityOf(flow.environment, flow.priority)
  shares.countIn(priority, 'delayedIn', priority.delayed, entry.route, difference)
  priority.delayed = priority.delayed + difference
end

-- Lets a job wait: in its own position in the queue, at once or after a delay. Writes its record.
function waiting_jobs.enter(entry, delayMs)
  local flow = shares.flow(entry.flow)
  entry.detail = nil
  if delayMs and delayMs > 0 then
    entry.state = delayed
    entry.detail = now + math.ceil(delayMs)
    call('ZADD', delayedKey(), string.format('%.0f', entry.detail), entries.sortKey(entry))
    countDelayed(entry, 1)
  else
    entry.state = ready
    fair_queue.push(flow, entry.route, entries.sortKey(entry))
  end
  entries.put(entry)
end

-- Lets a job wait outside the queue until `untilTime`, so that the jobs behind it can proceed.
function waiting_jobs.park(entry, untilTime)
  waiting_jobs.leave(entry)
  waiting_jobs.enter(entry, untilTime - now)
end

-- Adds a job that is not known yet.
function waiting_jobs.add(entry, delayMs)
  local flow = shares.flow(entry.flow)
  shares.count(flow, 1)
  routes.count(entry.route, 1)
  if not entry.exact then control.estimates = control.estimates + 1 end
  waiting_jobs.enter(entry, delayMs)
end

local function withdraw(entry)
  for _, tier in ipairs(routes.get(entry.route).tiers) do
    for _, deployment in ipairs(tier.deployments) do
      for _, quota in ipairs(deployment.quotas) do quota.state.bookings[entry.id] = nil end
    end
  end
end

function waiting_jobs.clearBooking(entry)
  withdraw(entry)
  control.booked[entry.route] = nil
end

-- Takes a job out of where it waits.
function waiting_jobs.leave(entry)
  if entry.state == ready then
    fair_queue.remove(shares.flow(entry.flow), entry.route, entries.sortKey(entry))
  elseif entry.state == delayed then
    call('ZREM', delayedKey(), entries.sortKey(entry))
    countDelayed(entry, -1)
  elseif entry.state == booked then
    waiting_jobs.clearBooking(entry)
  end
end

-- Drops a job that is not waiting anywhere.
function waiting_jobs.drop(entry)
  if not entry.exact then control.estimates = control.estimates - 1 end
  entries.delete(entry.id)
  suspects.drop(entry.id)
  shares.count(shares.flow(entry.flow), -1)
  routes.count(entry.route, -1)
end

-- Moves delayed jobs whose time has come into the queue.
function waiting_jobs.promote()
  local due = call('ZRANGEBYSCORE', delayedKey(), '-inf', string.format('%.0f', now), 'LIMIT', 0, promoteAtOnce)
  for _, sortKey in ipairs(due) do
    call('ZREM', delayedKey(), sortKey)
    local entry = entries.get(entries.idOf(sortKey))
    countDelayed(entry, -1)
    waiting_jobs.enter(entry)
  end
end

-- Returns the time at which the first delayed job may enter the queue; infinite if there is none.
function waiting_jobs.nextReadyAt()
  local first = call('ZRANGE', delayedKey(), 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or infinity
end

-- Moves a booked job back to its own position in the queue.
local function unbook(entry)
  waiting_jobs.clearBooking(entry)
  waiting_jobs.enter(entry)
end

-- Keeps the earliest start free for a booked job, on the deployments that the calling worker serves, if it serves any.
-- Returns when to check again whether the booking is still needed.
function waiting_jobs.keepBooking(entry, isServed, served)
  withdraw(entry)
  local booking = control.booked[entry.route]
  local tiers = routes.get(entry.route).tiers
  local deployment, at
  if isServed then deployment, at = admission.earliestStart(entry, tiers, served) end
  local isOwn = deployment ~= nil
  if not isOwn then deployment, at = admission.earliestStart(entry, tiers) end
  if isOwn or (deployment and at > now) then
    booking.unclaimedSince = nil
  else
    booking.unclaimedSince = booking.unclaimedSince or now
  end
  local untilTime = (booking.unclaimedSince or infinity) + unservedMs
  if not deployment or now >= untilTime then
    unbook(entry)
    return infinity
  end
  for _, quota in ipairs(deployment.quotas) do
    local cost = admission.costOn(quota, deployment, entry)
    quota.state.bookings[entry.id] = { cost = cost, at = at, turn = booking.turn }
  end
  return untilTime
end

function waiting_jobs.book(entry, served)
  waiting_jobs.leave(entry)
  entry.state = booked
  control.bookings = control.bookings + 1
  control.booked[entry.route] = { id = entry.id, turn = control.bookings }
  entries.put(entry)
  waiting_jobs.keepBooking(entry, true, served)
end

-- Returns the booked job of a route.
function waiting_jobs.bookedIn(route)
  return entries.get(control.booked[route].id)
end

-- Cancels all bookings. They are made again when their jobs are next.
function waiting_jobs.unbookAll()
  for _, route in ipairs(routes.booked()) do unbook(waiting_jobs.bookedIn(route)) end
end
