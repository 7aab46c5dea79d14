-- Learns from refusals, with the arithmetic of learning.ts. Its state is part of the quota's: `limit` and `burst` (each
-- a probed value), closedUntil, throttledAt, inARow, loweredAt, isAboutBurst, wasSpread, refusedSince,
-- keptByRefused, tooMuch, heldUntil, holdMs.
--- @include "state"
--- @include "pacer"
local learning = {}

local pauseMs = 1000
local longestPauseMs = 16000
local longestPatience = 16
local firstParkMs = 900000
local longestParkMs = 3600000
local limitSteps = { thousandths = 10, most = 8 }
local burstSteps = { thousandths = 100, most = 1 }
local leastBurst = 120

local function probed(value)
  return { value = value, good = value, changedAt = -infinity, patience = 1, step = 1 }
end

-- Sets the state in which nothing is learned.
function learning.fresh(own)
  own.limit = probed(own.settings.limit)
  own.burst = probed(own.settings.burst)
  own.closedUntil = -infinity
  own.throttledAt = -infinity
  own.inARow = 0
  own.loweredAt = -infinity
  own.isAboutBurst = false
  own.wasSpread = true
  own.refusedSince = 0
  own.keptByRefused = 0
  own.tooMuch = infinity
  own.heldUntil = -infinity
  own.holdMs = firstParkMs
end

local function isProbed(it)
  return it.value > it.good
end

function learning.isProbing(own)
  return isProbed(own.limit) or isProbed(own.burst)
end

local function lower(it, to)
  it.changedAt = now
  it.step = 1
  if isProbed(it) then
    it.value = it.good
    it.patience = math.min(longestPatience, it.patience * 2)
    return
  end
  it.value = to
  it.good = to
  it.patience = 1
end

local function isDue(it, ceiling, span)
  if it.value >= ceiling and not isProbed(it) then return false end
  return now - it.changedAt > span * (isProbed(it) and 1 or it.patience)
end

local function probe(it, ceiling, steps)
  if isProbed(it) then
    it.patience = math.max(1, math.floor(it.patience / 2))
    it.step = math.min(steps.most, it.step * 2)
  end
  it.good = it.value
  it.changedAt = now
  it.value = math.min(ceiling, it.value + math.max(1, math.floor(it.value * it.step * steps.thousandths / 1000)))
end

local function follow(it, before, ceiling, value)
  it.value = it.value < before and math.min(value, ceiling) or ceiling
  it.good = it.value
end

local function halfOf(own, atOnce)
  local limit = own.settings.limit
  return math.max(1, math.floor(limit / leastBurst), math.floor(atOnce * limit / (2 * own.limit.value)))
end

local function pointsToBurst(own, seen, atOnce, span)
  local pace = math.floor(own.limit.value * atOnceMs / span)
  if learning.isProbing(own) then return not isProbed(own.limit) and (seen.ahead >= 1 or atOnce >= 2) end
  if not own.wasSpread then return atOnce >= 2 and atOnce > pace end
  if atOnce < 2 or seen.used * 2 > own.limit.value then return false end
  return atOnce > 2 * pace and halfOf(own, atOnce) < own.burst.value
end

local function lowerLimit(own, used)
  own.loweredAt = now
  local seen = math.floor(used * 98 / 100)
  local half = math.floor(own.limit.value / 2)
  lower(own.limit, math.max(1, math.min(own.limit.value, math.max(seen, half))))
end

-- Returns until when a cost is parked, because as much was refused when it went alone; nil if it may be tried.
function learning.parkedUntil(own, cost)
  local isParked = cost > own.limit.value and cost >= own.tooMuch and now < own.heldUntil
  return isParked and own.heldUntil or nil
end

local function parkCost(own, refused)
  own.tooMuch = now < own.heldUntil and math.min(own.tooMuch, refused) or refused
  own.heldUntil = now + own.holdMs
  own.holdMs = math.min(longestParkMs, own.holdMs * 2)
end

-- Returns whether what exceeds the burst is spread over the window.
function learning.isSpread(own)
  return own.burst.value < own.settings.limit
end

-- Learns from a refusal. `seen` is what the quota shows without the refused call:
--   used, atOnce  what the log shows, in the span and in the last `atOnceMs`
--   ahead         what was charged ahead of an even pace
--   refused       what the refused call had reserved
--   kept          the part of `refused` that the log still holds
--   isOldNews     whether the same job was refused again and again, so that nothing is lowered
--   grantedAt     when the refused call was granted
function learning.throttled(own, seen, span, retryAfterMs)
  if now - own.throttledAt > span then own.inARow = 0 end
  own.throttledAt = now
  local isNew = seen.grantedAt >= own.closedUntil
  local pause = isNew and math.min(longestPauseMs, pauseMs * 2 ^ own.inARow) or 0
  if isNew then own.inARow = math.min(16, own.inARow + 1) end
  own.closedUntil = math.max(own.closedUntil, now + math.min(span, retryAfterMs or pause))
  if seen.refused > own.limit.value and seen.used * 10 <= own.limit.value then return parkCost(own, seen.refused) end
  if isNew then
    own.isAboutBurst = false
    own.wasSpread = learning.isSpread(own)
    own.refusedSince = now
    own.keptByRefused = 0
  end
  own.keptByRefused = (own.keptByRefused or 0) + seen.kept
  if seen.isOldNews then return end
  local ahead = seen.ahead + math.floor((now - (own.refusedSince or now)) * own.limit.value / span)
  local atOnce = own.wasSpread ~= false and seen.atOnce or ahead
  if isNew then own.isAboutBurst = pointsToBurst(own, seen, atOnce, span) end
  if own.isAboutBurst then
    lower(own.burst, math.min(own.burst.value, halfOf(own, atOnce - own.keptByRefused)))
  elseif now - own.loweredAt > span then
    lowerLimit(own, seen.used)
  end
end

-- Learns from a call that was let through. `used` returns what the log shows; it is called only if a probe is due.
function learning.succeeded(own, used, span)
  local settings = own.settings
  if isDue(own.limit, settings.limit, span) then
    if used() * 10 >= own.limit.value * 9 then probe(own.limit, settings.limit, limitSteps) end
  end
  if isDue(own.burst, settings.burst, span) then
    local isProven = own.burstUsedAt > own.burst.changedAt and now - own.burstUsedAt > atOnceMs
    if isProven then probe(own.burst, settings.burst, burstSteps) end
  end
end

function learning.park(own, untilTime)
  own.closedUntil = math.max(own.closedUntil, untilTime)
end

function learning.reopen(own)
  own.closedUntil = -infinity
end

-- Restores what was learned before a rebuild. Numbers that are not known are nil.
function learning.learn(own, limit, burst, throttledAgoMs, closedForMs)
  local settings = own.settings
  own.limit.value = math.max(1, math.min(settings.limit, math.floor(limit or settings.limit)))
  own.burst.value = math.max(1, math.min(settings.burst, math.floor(burst or settings.burst)))
  own.limit.good = own.limit.value
  own.burst.good = own.burst.value
  if throttledAgoMs then own.throttledAt = now - math.max(0, math.floor(throttledAgoMs)) end
  if closedForMs then learning.park(own, now + math.max(0, math.ceil(closedForMs))) end
end

-- Replaces the configuration; `before` is the old one. Keeps what was learned below its numbers.
function learning.reconfigure(own, before)
  local settings = own.settings
  local burst = math.max(1, math.floor(own.burst.value * settings.limit / before.limit))
  follow(own.limit, before.limit, settings.limit, own.limit.value)
  follow(own.burst, before.burst, settings.burst, burst)
  if settings.limit ~= before.limit then own.heldUntil = -infinity end
end
