-- Decides whether a job may be called now, and where: see admission.ts. Charges nothing.
--
-- A job is { id, input, output, suspect? }; tiers are { model, choice, deployments } in the order of preference.
--- @include "state"
--- @include "cost"
--- @include "quota"
--- @include "deployment"
--- @include "suspects"
--- @private
local admission = {}

function admission.costOn(quota, deployment, job)
  return costs.reserved(quota.unit, job.input, job.output, deployment.burndown)
end

-- Returns the job's cost on each quota of a deployment, in the order of the quotas. `tooSmall` is the first quota that
-- never admits the job. A decision needs the costs several times, so they stay with the job until the script ends.
function admission.costsOn(deployment, job)
  local known = job.costs
  if not known then
    known = {}
    job.costs = known
  end
  local own = known[deployment]
  if own then return own end
  own = {}
  for index, quota in ipairs(deployment.quotas) do
    local cost = admission.costOn(quota, deployment, job)
    own[index] = cost
    if not own.tooSmall and not quotas.everAdmits(quota, cost) then own.tooSmall = quota end
  end
  known[deployment] = own
  return own
end

-- Returns the job's share of the scarcest quota of a deployment, in microseconds of quota time.
function admission.fairCostOn(deployment, job)
  local own = admission.costsOn(deployment, job)
  local cost = 0
  for index, quota in ipairs(deployment.quotas) do cost = math.max(cost, costs.fair(own[index], quota)) end
  return #own == 0 and costs.unlimited or cost
end

local function everAdmits(job, deployment)
  return not admission.costsOn(deployment, job).tooSmall
end

-- Returns why no deployment of the job's own model can ever admit it, or nil. Fallbacks do not count: they replace
-- deployments that are out of service, not quotas that are too small.
local function impossible(job, tiers)
  local own = tiers[1] and tiers[1].deployments or {}
  for _, deployment in ipairs(own) do
    if everAdmits(job, deployment) then return nil end
  end
  local first = own[1]
  if not first then return 'No deployment of the configuration serves this model in the allowed regions.' end
  local quota = admission.costsOn(first, job).tooSmall
  return string.format(
    'The job costs %.0f %s, but the quota %s admits at most %.0f per %s.',
    admission.costOn(quota, first, job),
    quota.unit,
    quota.name,
    quota.limit,
    quota.per
  )
end

local function anyInService(tier)
  for _, deployment in ipairs(tier.deployments) do
    if deployments.inService(deployment) then return true end
  end
  return false
end

-- Returns the tier in use and its index, or nil.
local function activeTier(job, tiers)
  for index, tier in ipairs(tiers) do
    for _, deployment in ipairs(tier.deployments) do
      if deployments.inService(deployment) and everAdmits(job, deployment) then return tier, index end
    end
  end
  return nil
end

local function outageOf(deployment)
  local outage = deployments.outage(deployment)
  local kind = outage.state == 'cooling_down' and 'cool_down' or 'out_of_service'
  return { kind = kind, deployment = deployment.id, reason = outage.reason }, outage.untilTime
end

local function outOfService(job, tiers)
  local on
  local at = infinity
  local forAll = true
  for _, tier in ipairs(tiers) do
    for _, deployment in ipairs(tier.deployments) do
      if everAdmits(job, deployment) then
        local outage, untilTime = outageOf(deployment)
        on = on or outage
        at = math.min(at, untilTime)
      end
    end
    forAll = forAll and not anyInService(tier)
  end
  return { kind = 'blocked', on = on, at = at, forAll = forAll }
end

-- Blocks without a time limit, because resuming wakes the workers.
local function pausedBy(key, forAll)
  return { kind = 'blocked', on = { kind = 'paused', reason = key }, at = infinity, forAll = forAll }
end

local function obstacleOf(job, deployment)
  if deployment.paused then return pausedBy('deployment\n' .. deployment.id, true) end
  if deployments.outage(deployment) then
    local on, at = outageOf(deployment)
    return { on = on, at = at, forAll = true }
  end
  if not everAdmits(job, deployment) then return 'impossible' end
  if not deployments.hasFreeSlot(deployment) then
    return { on = { kind = 'concurrency', deployment = deployment.id }, at = infinity, forAll = true }
  end
  local latest, latestAt
  -- Before this time not even the smallest job would be admitted.
  local closedUntil = now
  local parked = false
  local own = admission.costsOn(deployment, job)
  for index, quota in ipairs(deployment.quotas) do
    local cost = own[index]
    parked = parked or quotas.parkedUntil(quota, cost) ~= nil
    local at
    if quotas.admits(quota, cost) then
      at = quotas.givesWayUntil(quota, cost, job.id)
    else
      at = quotas.earliest(quota, cost)
    end
    if at then
      if not latest or at > latestAt then
        latest, latestAt = quota, at
      end
      closedUntil = math.max(closedUntil, quotas.earliest(quota, math.min(1, cost)))
    end
  end
  if not latest then return nil end
  local on = { kind = 'quota', deployment = deployment.id, quota = latest.name }
  return { on = on, at = latestAt, forAll = closedUntil >= latestAt, parked = parked }
end

-- Returns what would be left of the fullest quota, in thousandths of its limit. Concurrency counts as a quota.
local function headroomOf(job, deployment)
  local freeSlots = deployment.maxConcurrency - deployment.state.running
  local least = math.floor(freeSlots * 1000 / deployment.maxConcurrency)
  local own = admission.costsOn(deployment, job)
  for index, quota in ipairs(deployment.quotas) do
    local limit = quota.state.limit.value
    local left = limit - quotas.used(quota) - own[index]
    least = math.min(least, math.floor(left * 1000 / limit))
  end
  return least
end

-- Returns the deployments of a tier that refused a job, if another one should be tried first; otherwise nil.
local function avoidedBy(job, tier, served)
  if not job.suspect or job.suspect.kind == 'quota' then return nil end
  local refusedAt = job.suspect.refusedAt
  for _, deployment in ipairs(tier.deployments) do
    local isServed = not served or contains(served, deployment.id)
    local isUsable = deployments.inService(deployment) and not deployment.paused
    if not refusedAt[deployment.id] and isUsable and isServed and everAdmits(job, deployment) then return refusedAt end
  end
  return nil
end

-- Returns { kind = admitted, deployment, model }, { kind = blocked, on, at, forAll, parked } or { kind = impossible,
-- reason }. `served` holds the ids of the deployments that the calling worker serves, or is nil for all.
function admission.decide(job, tiers, served)
  local reason = impossible(job, tiers)
  if reason then return { kind = 'impossible', reason = reason } end
  if tiers[1].paused then return pausedBy('model\n' .. tiers[1].model, true) end
  local tier, index = activeTier(job, tiers)
  if not tier then return outOfService(job, tiers) end
  if tier.paused then return pausedBy('model\n' .. tier.model, false) end
  local best, bestHeadroom, blocked
  local forAll = true
  local parked = true
  local givesWay = false
  local avoided = avoidedBy(job, tier, served)
  for before = 1, index - 1 do forAll = forAll and not anyInService(tiers[before]) end
  for _, deployment in ipairs(tier.deployments) do
    local isAvoided = avoided and avoided[deployment.id]
    local isTried = not isAvoided and (not served or contains(served, deployment.id))
    if not isTried then
      parked = false
      if isAvoided then forAll = false end
    else
      local obstacle = obstacleOf(job, deployment)
      parked = parked and (obstacle == 'impossible' or type(obstacle) == 'table' and obstacle.parked == true)
      local reason, untilTime
      if not obstacle and suspects.givesWay(job.suspect, deployment.id) then
        reason, untilTime = deployments.leftToOthers(deployment)
      end
      if reason then
        givesWay = true
        forAll = false
        local on = { kind = 'out_of_service', deployment = deployment.id, reason = reason }
        if not blocked or blocked.at > untilTime then blocked = { on = on, at = untilTime, forAll = false } end
      elseif not obstacle then
        -- A single deployment is compared with no other, so its quotas are not read again.
        local headroom = #tier.deployments > 1 and headroomOf(job, deployment) or 0
        if not best or headroom > bestHeadroom then
          best, bestHeadroom = deployment, headroom
        end
        if tier.choice == 'order' then break end
      elseif obstacle == 'impossible' then
        -- If this job is too large, a smaller one of the same route may fit.
        forAll = false
      else
        forAll = forAll and obstacle.forAll
        if not blocked or blocked.at > obstacle.at then blocked = obstacle end
      end
    end
  end
  if best then return { kind = 'admitted', deployment = best, model = tier.model } end
  local at = blocked and blocked.at or infinity
  -- A fallback is left as soon as a deployment before it returns to service.
  for before = 1, index - 1 do
    for _, deployment in ipairs(tiers[before].deployments) do
      local outage = deployments.outage(deployment)
      if outage then at = math.min(at, outage.untilTime) end
    end
  end
  local on = blocked and blocked.on or { kind = 'turn' }
  return { kind = 'blocked', on = on, at = at, forAll = forAll, parked = givesWay or (parked and blocked ~= nil) }
end

-- Returns where a job that does not fit now will fit first, if nothing else is charged until then: deployment, time,
-- tier.
function admission.earliestStart(job, tiers, served)
  local tier = not (tiers[1] and tiers[1].paused) and activeTier(job, tiers) or nil
  if tier and tier.paused then tier = nil end
  local best, bestAt
  local avoided = tier and avoidedBy(job, tier, served) or {}
  for _, deployment in ipairs(tier and tier.deployments or {}) do
    local isServed = not avoided[deployment.id] and not deployment.paused and (not served or contains(served, deployment.id))
    if isServed and deployments.inService(deployment) and everAdmits(job, deployment) then
      local at = now
      for _, quota in ipairs(deployment.quotas) do
        at = math.max(at, quotas.earliest(quota, admission.costOn(quota, deployment, job)))
      end
      if not best or at < bestAt then
        best, bestAt = deployment, at
      end
    end
  end
  return best, bestAt, tier
end
