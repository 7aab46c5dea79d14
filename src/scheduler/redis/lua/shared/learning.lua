-- What a quota learns from how calls ended: see quota.ts.
--- @include "state"
--- @include "quota"
local learning = {}

function learning.throttled(quota, retryAfterMs)
  local own = quota.state
  quota_log.age(quota)
  local penalty = math.min(quota.window, penaltyMs * 2 ^ math.min(16, own.throttlesInARow))
  -- Calls that left before it closed say nothing new.
  local isNew = now >= own.closedUntil
  if isNew then own.throttlesInARow = own.throttlesInARow + 1 end
  own.closedUntil = math.max(own.closedUntil, now + (retryAfterMs or (isNew and penalty or 0)))
  if now - own.loweredAt <= quota.span then return end
  own.loweredAt = now
  if own.effectiveLimit > own.lastGood then
    own.effectiveLimit = own.lastGood
    own.probeEvery = math.min(64, own.probeEvery * 2)
  else
    local seen = math.floor(own.used * 98 / 100)
    local half = math.floor(own.effectiveLimit / 2)
    own.effectiveLimit = math.max(1, math.min(own.effectiveLimit, math.max(seen, half)))
    own.lastGood = own.effectiveLimit
    own.probeEvery = 1
  end
  own.probedAt = now
end

function learning.succeeded(quota)
  local own = quota.state
  own.throttlesInARow = 0
  if own.effectiveLimit >= quota.limit then return end
  if now - math.max(own.probedAt, own.loweredAt) <= quota.span * own.probeEvery then return end
  if quotas.used(quota) * 10 < own.effectiveLimit * 9 then return end
  own.lastGood = own.effectiveLimit
  own.probedAt = now
  own.effectiveLimit = math.min(quota.limit, own.effectiveLimit + math.max(1, math.floor(own.effectiveLimit / 100)))
end

-- Nothing is admitted before that time.
function learning.park(quota, untilTime)
  quota.state.closedUntil = math.max(quota.state.closedUntil, untilTime)
end

-- The effective limit as learned before a rebuild.
function learning.learn(quota, effectiveLimit)
  quota.state.effectiveLimit = math.max(1, math.min(quota.limit, math.floor(effectiveLimit)))
  quota.state.lastGood = quota.state.effectiveLimit
end

function learning.forget(quota)
  local own = quota.state
  own.effectiveLimit = quota.limit
  own.lastGood = quota.limit
  own.closedUntil = -infinity
  own.throttlesInARow = 0
  own.loweredAt = -infinity
  own.probedAt = -infinity
  own.probeEvery = 1
end
