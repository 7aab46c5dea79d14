-- Judges whose fault a refusal is, and keeps what is known of refused jobs: see suspicion.ts. There are few suspects at
-- a time; a job that was never refused costs nothing.
--- @include "state"
--- @private
local suspects = {}

local strikesAllowed = { refused = 1, misconfigured = 5, capacity = 60, throttled = infinity, quota = infinity }
local strikesBlamed = { refused = 0, misconfigured = 0, capacity = 0, throttled = infinity, quota = 2 }
local quotaRefusalsInPlace = 2
local mayHitAnyJob = { capacity = true, throttled = true }
local longRetryAfterMs = 10000
local firstWaitMs = 1000
local longestWaitMs = 60000

-- Returns what is known of a refused job, or nil.
function suspects.get(id)
  if (control.suspects or 0) == 0 then return nil end
  local packed = call('HGET', key('suspects'), id)
  return packed and cmsgpack.unpack(packed) or nil
end

local function put(id, suspect)
  local added = call('HSET', key('suspects'), id, cmsgpack.pack(suspect))
  control.suspects = (control.suspects or 0) + added
end

function suspects.drop(id)
  if (control.suspects or 0) == 0 then return end
  control.suspects = control.suspects - call('HDEL', key('suspects'), id)
end

-- Returns { suspect, blamed, isNews, rejected } for a refused call; nil if the signal is no refusal.
function suspects.judge(lease, kind, reason, retryAfterMs)
  local allowed = strikesAllowed[kind]
  if not allowed then return nil end
  local known = suspects.get(lease.id)
  if known and known.kind ~= kind then known = nil end
  local struck = false
  for id, at in pairs(known and known.refusedAt or {}) do
    local own = control.deployments[id]
    if own and (own.answeredAt or -infinity) >= at then struck = true end
  end
  local refusedAt = known and not struck and known.refusedAt or {}
  refusedAt[lease.deployment] = lease.grantedAt
  local suspect = {
    kind = kind,
    reason = reason,
    deployment = lease.deployment,
    refusedAt = refusedAt,
    times = (known and known.times or 0) + 1,
    strikes = (known and known.strikes or 0) + (struck and 1 or 0),
    asksLong = (retryAfterMs or 0) >= longRetryAfterMs or nil,
  }
  put(lease.id, suspect)
  return {
    suspect = suspect,
    blamed = suspect.strikes <= strikesBlamed[kind],
    isNews = suspect.times <= quotaRefusalsInPlace,
    rejected = suspect.strikes >= allowed,
  }
end

-- Returns how long a suspect waits before it is called again, in ms.
function suspects.waitMs(suspect, inService, closedForMs)
  local times = suspect.kind == 'quota' and suspect.times - quotaRefusalsInPlace or suspect.times
  if suspect.kind == 'quota' and suspect.asksLong then times = math.max(1, times) end
  if times <= 0 then return 0 end
  local backoffMs = math.min(longestWaitMs, firstWaitMs * 2 ^ math.min(16, times - 1))
  if suspect.kind == 'quota' then return closedForMs + backoffMs end
  if suspect.strikes == 0 and (mayHitAnyJob[suspect.kind] or not inService) then return 0 end
  return backoffMs
end

-- Whether the job may be at fault.
function suspects.mayBeAtFault(suspect)
  return suspect.kind == 'refused' or suspect.kind == 'misconfigured'
end

-- Whether a deployment on trial is left to other jobs first.
function suspects.givesWay(suspect, deployment)
  if not suspect or suspect.kind == 'quota' or not suspect.refusedAt[deployment] then return false end
  return not mayHitAnyJob[suspect.kind] or suspect.times > 1 or suspect.asksLong == true
end
