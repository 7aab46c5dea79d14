-- What one waiting job waits for, and when it will start if a given amount of work precedes it: see estimates.ts.
--- @include "state"
--- @include "routes"
--- @include "shares"
--- @include "admission"
--- @include "suspects"
--- @include "entries"
local estimates = {}

-- Returns the time until the quotas have let through what precedes the job, and the job itself; -1 if unknown.
-- `ahead` is what precedes it: { jobs, input, output }.
function estimates.startsIn(entry, tiers, ahead)
  local delay = entry.state == delayed and math.max(0, entry.detail - now) or 0
  local deployment, latest, tier = admission.earliestStart(entry, tiers)
  if not deployment then return -1 end
  local inService = 0
  for _, other in ipairs(tier.deployments) do
    if deployments.inService(other) then inService = inService + 1 end
  end
  for _, quota in ipairs(deployment.quotas) do
    local ofAll = quota.unit == 'requests' and ahead.jobs or admission.costOn(quota, deployment, ahead)
    local units = math.floor(ofAll / inService + 0.5)
    latest = math.max(latest, quotas.freeAfter(quota, units, admission.costOn(quota, deployment, entry)))
  end
  return math.max(delay, latest - now)
end

-- Returns what a waiting job waits for. `position` is its place in the queue; 1 is next.
function estimates.waitingOn(entry, tiers, position)
  if not state.isOpen() then return { kind = 'rebuild' } end
  local suspect = entry.suspect
  local decision = admission.decide(entry, tiers)
  if decision.kind == 'impossible' then return { kind = 'configuration', reason = decision.reason } end
  if entry.state == delayed then
    if suspect and suspects.mayBeAtFault(suspect) then return { kind = 'refused', deployment = suspect.deployment, reason = suspect.reason } end
    return { kind = 'delay' }
  end
  local flow = shares.flow(entry.flow)
  local paused = state.pausedOwner(flow.environment, flow.tenant)
  if paused then return { kind = 'paused', reason = paused } end
  if decision.kind == 'blocked' then return decision.on end
  return { kind = position > 1 and 'fairness' or 'turn' }
end
