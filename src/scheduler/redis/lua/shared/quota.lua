-- One quota: a log of charges and a pacer. A charge needs both to admit it. The arithmetic is that of quota.ts, which
-- gives the reasons. The answers must be the same to the last millisecond.
--- @include "state"
--- @include "quota_log"
--- @include "pacer"
--- @include "learning"
local quotas = {}

local windows = { minute = 60000, day = 86400000 }
local daySlotMs = 300000

-- Quotas by name: the configuration's numbers with the stored state.
local quotaOf = {}

-- Returns the state of a new quota. `settings` holds unit, per, limit, burst, resetHourUtc.
function quotas.fresh(settings, guardMs)
  control.serial = control.serial + 1
  local own = {
    -- Distinguishes a quota from an earlier one of the same name, whose charges do not count here.
    serial = control.serial,
    settings = settings,
    guardMs = guardMs,
    head = 0,
    tail = 0,
    used = 0,
    sums = {},
    dayEndsAt = infinity,
    bookings = {},
  }
  pacer.fresh(own)
  learning.fresh(own)
  return own
end

-- Replaces the quota's configuration. Keeps what was learned below the new limit.
function quotas.reconfigure(own, settings, guardMs)
  local before = own.settings
  if own.settings.resetHourUtc ~= settings.resetHourUtc then
    own.day = nil
    own.dayEndsAt = infinity
  end
  own.settings = settings
  own.guardMs = guardMs
  learning.reconfigure(own, before)
end

-- Sets whether the pacer follows the quota, from what was learned.
function quotas.updatePaced(quota)
  quota.paced = quota.per == 'minute' and learning.isSpread(quota.state)
end

function quotas.open(name)
  local own = control.quotas[name]
  local settings = own.settings
  local quota = {
    name = name,
    unit = settings.unit,
    per = settings.per,
    limit = settings.limit,
    resetHourUtc = settings.resetHourUtc,
    window = windows[settings.per],
    state = own,
  }
  quota.span = quota.window + own.guardMs
  quotas.updatePaced(quota)
  quotaOf[name] = quota
end

-- ---------------------------------------------------------------- the log

-- Returns the time at which a charge counts: for daily quotas, the end of its slot.
local function slotOf(quota, at)
  if quota.per == 'minute' then return at end
  return at - at % daySlotMs + daySlotMs - 1
end

-- An empty window admits one job up to the configured limit.
local function logAdmits(quota, cost, used)
  return used + cost <= quota.state.limit.value or (used <= 0 and cost <= quota.limit)
end

local function earliestByLog(quota, cost)
  local used = quota.state.used
  if logAdmits(quota, cost, used) then return now end
  local found = infinity
  quota_log.walk(quota, function(sum)
    -- Costs are never negative: a job that does not fit after the whole segment fits nowhere within it.
    if logAdmits(quota, cost, used - sum) then return false end
    used = used - sum
    return true
  end, function(at, logged)
    used = used - logged
    if not logAdmits(quota, cost, used) then return false end
    found = quota_log.expiry(quota, at)
    return true
  end)
  return found
end

-- Returns how much of the present charges will still count at a later time.
local function aliveAt(quota, time)
  local used = quota.state.used
  quota_log.walk(quota, function(sum, lastAt)
    if quota_log.expiry(quota, lastAt) > time then return false end
    used = used - sum
    return true
  end, function(at, logged)
    if quota_log.expiry(quota, at) > time then return true end
    used = used - logged
    return false
  end)
  return used
end

-- ---------------------------------------------------------------- queries

function quotas.used(quota)
  quota_log.age(quota)
  return quota.state.used
end

-- Returns the part of `used` that was charged for running calls.
function quotas.reserved(quota)
  quota_log.age(quota)
  return quota_log.reserved(quota)
end

function quotas.everAdmits(quota, cost)
  return cost <= quota.limit
end

-- Whether the cost may be charged now, ignoring bookings.
function quotas.admits(quota, cost)
  quota_log.age(quota)
  local own = quota.state
  if now < own.closedUntil or learning.parkedUntil(own, cost) then return false end
  return logAdmits(quota, cost, own.used) and pacer.admits(quota, cost)
end

-- Returns until when the cost is parked, because as much was refused alone; nil if it may be tried.
function quotas.parkedUntil(quota, cost)
  return learning.parkedUntil(quota.state, cost)
end

-- Returns when two costs fit at once; infinite if waiting alone does not make them fit.
local function bothFitAt(quota, cost, other)
  local at = math.max(earliestByLog(quota, cost + other), pacer.bothFitAt(quota, cost, other))
  return at > now and at or infinity
end

-- Returns when a job that is admitted now should try again, because a charge now would delay a booked job. Nil if no
-- booking is in the way. The job's own booking and later ones do not count.
function quotas.givesWayUntil(quota, cost, id)
  local own = quota.state
  if not next(own.bookings) then return nil end
  local turn = own.bookings[id] and own.bookings[id].turn or infinity
  local expiresAt = quota_log.expiry(quota, slotOf(quota, now))
  local untilTime
  for _, booking in pairs(own.bookings) do
    if booking.turn < turn then
      local at = math.max(booking.at, now)
      local alive = aliveAt(quota, at) + (expiresAt > at and cost or 0)
      if not (logAdmits(quota, booking.cost, alive) and pacer.admitsAfter(quota, cost, booking.cost, at)) then
        local started = booking.at > now and booking.at or bothFitAt(quota, cost, booking.cost)
        untilTime = math.max(untilTime or now, started)
      end
    end
  end
  return untilTime
end

function quotas.admitsBeside(quota, cost, id)
  return quotas.admits(quota, cost) and not quotas.givesWayUntil(quota, cost, id)
end

function quotas.earliest(quota, cost)
  quota_log.age(quota)
  local parked = quotas.parkedUntil(quota, cost) or now
  return math.max(now, quota.state.closedUntil, parked, earliestByLog(quota, cost), pacer.earliest(quota, cost, 0))
end

-- Estimates when the cost will be admitted if the quota is fully used and `ahead` goes before it.
function quotas.freeAfter(quota, ahead, cost)
  quota_log.age(quota)
  local limit = quota.state.limit.value
  local whole = pacer.expected(quota, ahead) + cost
  local wholeWindows = math.floor(math.max(0, whole - 1) / limit)
  local rest = whole - wholeWindows * limit
  local used = quota.state.used
  local at = quotas.earliest(quota, cost)
  quota_log.walk(quota, function(sum, lastAt)
    if used + rest - sum <= limit then return false end
    used = used - sum
    at = math.max(at, quota_log.expiry(quota, lastAt))
    return true
  end, function(chargedAt, logged)
    if used + rest <= limit then return true end
    used = used - logged
    at = math.max(at, quota_log.expiry(quota, chargedAt))
    return false
  end)
  return math.max(at + wholeWindows * (quota.span + 1), pacer.earliest(quota, cost, ahead))
end

-- Returns when the oldest charge ages out, or nil.
function quotas.nextFree(quota)
  quota_log.age(quota)
  if quota_log.isEmpty(quota) then return nil end
  return quota_log.expiry(quota, quota_log.oldest(quota))
end

-- ---------------------------------------------------------------- charging

local function append(quota, cost, at, isOpen)
  local own = quota.state
  local last = not quota_log.isEmpty(quota) and own.lastAt or nil
  if quota.per == 'minute' then return quota_log.append(quota, math.max(at, last or at), cost, isOpen) end
  local slotEnd = slotOf(quota, at)
  if not last or last < slotEnd then return quota_log.append(quota, slotEnd, cost, isOpen) end
  quota_log.add(quota, own.tail - 1, cost, isOpen and cost or 0)
  return own.tail - 1
end

-- Charges the cost without checking whether it is admitted, and returns the trace of the charge. `isOpen`: whether the
-- call is running.
function quotas.charge(quota, cost, at, isOpen)
  quota_log.age(quota)
  return {
    quota = quota.name,
    serial = quota.state.serial,
    number = append(quota, cost, at, isOpen),
    cost = cost,
    reserved = cost,
    isOpen = isOpen,
    paced = pacer.charge(quota, cost, at),
  }
end

-- Records that the call has ended, and what it cost.
local function replace(quota, charge, cost)
  quota_log.age(quota)
  quota_log.add(quota, charge.number, cost - charge.cost, charge.isOpen and -charge.cost or 0, charge.isOpen)
  charge.cost = cost
  charge.isOpen = false
end

-- Records that the call has ended. Its charge stays as it is.
function quotas.close(quota, charge)
  if charge.isOpen then replace(quota, charge, charge.cost) end
end

local function edit(quota, charge, cost)
  replace(quota, charge, cost)
  pacer.correct(quota, charge.paced, cost)
end

function quotas.settle(quota, charge, cost)
  pacer.observe(quota, charge.reserved, cost)
  edit(quota, charge, cost)
end

function quotas.void(quota, charge)
  edit(quota, charge, 0)
end

-- ---------------------------------------------------------------- learning

-- Records that the provider says this quota is exceeded. The charge of the refused call must have been edited before.
-- `refused` is what the refused call had reserved, and `grantedAt` is when it was granted.
function quotas.throttled(quota, refused, grantedAt, retryAfterMs, isOldNews)
  quota_log.age(quota)
  local own = quota.state
  local seen = {
    used = own.used,
    -- Charges made before then will have aged out by that time.
    atOnce = aliveAt(quota, now - atOnceMs + quota.span),
    ahead = pacer.ahead(quota),
    refused = refused,
    kept = quota.unit == 'requests' and refused or 0,
    isOldNews = isOldNews,
    grantedAt = grantedAt,
  }
  learning.throttled(own, seen, quota.span, retryAfterMs)
  quotas.updatePaced(quota)
  pacer.restUntil(quota, own.closedUntil)
end

function quotas.succeeded(quota)
  learning.succeeded(quota.state, function() return quotas.used(quota) end, quota.span)
  quotas.updatePaced(quota)
end

-- Sets the current day of a quota that the provider resets at a fixed hour. A new day begins with nothing used.
function quotas.rollDay(quota, day, endsAt)
  local own = quota.state
  if own.day and day > own.day then quota_log.clear(quota) end
  own.day = math.max(own.day or day, day)
  own.dayEndsAt = endsAt
end
