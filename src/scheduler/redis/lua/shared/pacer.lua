-- The pacer of a quota (GCRA): see pacer.ts for the reasons. Queued time is counted in whole microseconds. Its state is
-- part of the quota's: busyUntil, refunds, ratio, busySince, burstUsedAt.
--- @include "state"
local pacer = {}

local ratioUnit = 100000
local ratioInertia = 16
-- Calls within this time count as sent at once, in ms.
local atOnceMs = 2000

function pacer.fresh(own)
  own.busyUntil = -infinity
  own.refunds = 0
  own.ratio = ratioUnit
  own.busySince = -infinity
  own.burstUsedAt = -infinity
end

-- Learns what a reservation turned out to cost.
function pacer.observe(quota, reserved, cost)
  if reserved <= 0 or cost <= 0 then return end
  local own = quota.state
  local sample = math.floor(math.min(cost, 8 * reserved) * ratioUnit / reserved)
  own.ratio = math.max(1, own.ratio + math.floor((sample - own.ratio) / ratioInertia))
end

-- Returns what reservations of this sum are expected to cost.
function pacer.expected(quota, reserved)
  return math.ceil(reserved * quota.state.ratio / ratioUnit)
end

local function realTimeOf(quota, cost)
  return math.ceil(cost * quota.span * 1000 / quota.state.limit.value)
end

local function timeOf(quota, reserved)
  return realTimeOf(quota, pacer.expected(quota, reserved))
end

-- Returns the burst as microseconds. A millisecond is added because the time of every charge is rounded up.
local function tolerance(quota)
  return math.floor(quota.state.burst.value * quota.span * 1000 / quota.limit) + 1000
end

local function admitsIn(quota, cost, at, busyUntil)
  local backlog = busyUntil - at * 1000
  return backlog <= 0 or backlog + timeOf(quota, cost) <= tolerance(quota)
end

function pacer.admits(quota, cost)
  return not quota.paced or admitsIn(quota, cost, now, quota.state.busyUntil)
end

-- Whether `cost` would be admitted at `at` if `other` were charged now.
function pacer.admitsAfter(quota, other, cost, at)
  if not quota.paced then return true end
  return admitsIn(quota, cost, at, math.max(quota.state.busyUntil, now * 1000) + timeOf(quota, other))
end

-- Returns when the cost is admitted if nothing but `ahead` is charged before it.
function pacer.earliest(quota, cost, ahead)
  if not quota.paced then return now end
  local busyUntil = quota.state.busyUntil
  if ahead ~= 0 then busyUntil = math.max(busyUntil, now * 1000) + timeOf(quota, ahead) end
  local time = timeOf(quota, cost)
  local at = time <= tolerance(quota) and busyUntil + time - tolerance(quota) or busyUntil
  return math.max(now, math.ceil(at / 1000))
end

-- Returns when two costs are admitted one right after the other; infinite if together they exceed the burst.
function pacer.bothFitAt(quota, cost, other)
  if not quota.paced then return now end
  local time = timeOf(quota, cost) + timeOf(quota, other)
  if time > tolerance(quota) then return infinity end
  return math.max(now, math.ceil((quota.state.busyUntil + time - tolerance(quota)) / 1000))
end

-- Returns how much was charged ahead of an even pace.
function pacer.ahead(quota)
  local own = quota.state
  return math.floor(math.max(0, own.busyUntil - now * 1000) * own.limit.value / (quota.span * 1000))
end

-- Admits what comes after `time` without a burst.
function pacer.restUntil(quota, time)
  if not quota.paced then return end
  quota.state.busyUntil = math.max(quota.state.busyUntil, time * 1000 + tolerance(quota))
end

-- Charges a cost and returns the trace of the charge.
function pacer.charge(quota, cost, at)
  local own = quota.state
  local time = timeOf(quota, cost)
  if own.busyUntil <= at * 1000 then own.busySince = at end
  own.busyUntil = math.max(own.busyUntil, at * 1000) + time
  local isFull = (own.busyUntil - at * 1000) * 10 >= tolerance(quota) * 9
  if isFull and at - own.busySince <= atOnceMs then own.burstUsedAt = at end
  return { time = time, ends = own.busyUntil, refundsBefore = own.refunds }
end

-- Corrects a charge to its real cost. A lower cost is credited only for the part of the charge that is not worked off
-- yet.
function pacer.correct(quota, charge, cost)
  local own = quota.state
  local real = realTimeOf(quota, cost)
  local difference = real - charge.time
  charge.time = real
  if difference >= 0 then
    own.busyUntil = math.max(own.busyUntil, now * 1000) + difference
    return
  end
  local ends = charge.ends - (own.refunds - charge.refundsBefore)
  local refund = math.min(-difference, math.max(0, ends - now * 1000))
  own.busyUntil = own.busyUntil - refund
  own.refunds = own.refunds + refund
end
