-- Every job that is known, and where it waits: in the fair queue, for its time, or booked: see waiting-room.ts.
--- @include "state"
--- @include "entries"
--- @include "routes"
--- @include "shares"
--- @include "fair_queue"
--- @include "admission"
--- @include "suspects"
local waiting_room = {}

-- A booked job that could start, but that no worker asked for who serves it, gives up its booking after this.
local unclaimedMs = 10000
-- How many delayed jobs one script lets in; the rest follow with the next.
local promoteAtOnce = 1000

local function delayedKey()
  return key('delayed')
end

local function countDelayed(flow, difference)
  local priority = shares.priorityOf(flow.environment, flow.priority)
  priority.delayed = priority.delayed + difference
end

-- Puts a job where it waits: in its own place in the queue, at once or after a delay. Its record is written.
function waiting_room.enter(entry, delayMs)
  local flow = shares.flow(entry.flow)
  entry.detail = nil
  if delayMs and delayMs > 0 then
    entry.state = delayed
    entry.detail = now + math.ceil(delayMs)
    call('ZADD', delayedKey(), string.format('%.0f', entry.detail), entries.place(entry))
    countDelayed(flow, 1)
  else
    entry.state = ready
    fair_queue.push(flow, entry.route, entries.place(entry))
  end
  entries.put(entry)
end

-- Lets a job wait until a time, outside the queue, so that what is behind it can go on.
function waiting_room.park(entry, untilTime)
  waiting_room.leave(entry)
  waiting_room.enter(entry, untilTime - now)
end

-- Adds a job that is not known yet.
function waiting_room.add(entry, delayMs)
  local flow = shares.flow(entry.flow)
  shares.count(flow, 1)
  routes.count(entry.route, 1)
  if not entry.exact then control.estimates = control.estimates + 1 end
  waiting_room.enter(entry, delayMs)
end

local function withdraw(entry)
  for _, tier in ipairs(routes.get(entry.route).tiers) do
    for _, deployment in ipairs(tier.deployments) do
      for _, quota in ipairs(deployment.quotas) do quota.state.bookings[entry.id] = nil end
    end
  end
end

function waiting_room.clearBooking(entry)
  withdraw(entry)
  control.booked[entry.route] = nil
end

-- Takes a job from where it waits.
function waiting_room.leave(entry)
  if entry.state == ready then
    fair_queue.remove(shares.flow(entry.flow), entry.route, entries.place(entry))
  elseif entry.state == delayed then
    call('ZREM', delayedKey(), entries.place(entry))
    countDelayed(shares.flow(entry.flow), -1)
  elseif entry.state == booked then
    waiting_room.clearBooking(entry)
  end
end

-- Forgets a job that waits nowhere.
function waiting_room.drop(entry)
  if not entry.exact then control.estimates = control.estimates - 1 end
  entries.delete(entry.id)
  suspects.drop(entry.id)
  shares.count(shares.flow(entry.flow), -1)
  routes.count(entry.route, -1)
end

-- Lets in those whose time has come.
function waiting_room.promote()
  local due = call('ZRANGEBYSCORE', delayedKey(), '-inf', string.format('%.0f', now), 'LIMIT', 0, promoteAtOnce)
  for _, place in ipairs(due) do
    call('ZREM', delayedKey(), place)
    local entry = entries.get(entries.idAt(place))
    countDelayed(shares.flow(entry.flow), -1)
    waiting_room.enter(entry)
  end
end

-- When the first delayed job may enter.
function waiting_room.nextReadyAt()
  local first = call('ZRANGE', delayedKey(), 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) or infinity
end

-- Back into the queue, in its own place.
local function unbook(entry)
  waiting_room.clearBooking(entry)
  waiting_room.enter(entry)
end

-- Keeps the earliest start free for a booked job: on the deployments that the asking worker serves, if it serves any.
-- Answers when to look again whether the booking is still wanted.
function waiting_room.keepBooking(entry, isServed, served)
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
  local untilTime = (booking.unclaimedSince or infinity) + unclaimedMs
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

function waiting_room.book(entry, served)
  waiting_room.leave(entry)
  entry.state = booked
  control.bookings = control.bookings + 1
  control.booked[entry.route] = { id = entry.id, turn = control.bookings }
  entries.put(entry)
  waiting_room.keepBooking(entry, true, served)
end

-- The job for which a route keeps a start free.
function waiting_room.bookedIn(route)
  return entries.get(control.booked[route].id)
end

-- Gives up all bookings: they are made anew when their jobs are in turn.
function waiting_room.unbookAll()
  for _, route in ipairs(routes.booked()) do unbook(waiting_room.bookedIn(route)) end
end
