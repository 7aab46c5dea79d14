-- The state of a deployment withSiblings its quotas, and what the end of a call shows about it: see deployment.ts and
-- signals.ts.
--- @include "state"
--- @include "cost"
--- @include "quota"
local deployments = {}

local coolDown = { baseMs = 1000, maxMs = 60000 }
local park = { baseMs = 900000, maxMs = 3600000 }
local outOfServiceMs = 300000
local leftToOthersMs = 1000
local accusersAllowed = 3

-- Deployments by id: the configuration's numbers, the stored state and the quotas.
local deploymentOf = {}

function deployments.fresh()
  return { running = 0, failures = 0, onTrial = false, accusers = {} }
end

-- Loads quotas and deployments, also those that the configuration left out.
function deployments.openAll()
  for name in pairs(control.quotas) do quotas.open(name) end
  for id, own in pairs(control.deployments) do
    -- Earlier versions stored the outage as `trouble`.
    own.outage, own.trouble = own.outage or own.trouble, nil
    local settings = own.settings
    local deployment = {
      id = id,
      region = settings.region,
      baseModel = settings.baseModel,
      dailyPool = settings.dailyPool or settings.region,
      maxConcurrency = settings.maxConcurrency,
      burndown = settings.outputBurndown,
      quotas = {},
      state = own,
      paused = control.paused['deployment\n' .. id],
    }
    for _, name in ipairs(settings.quotas) do table.insert(deployment.quotas, quotaOf[name]) end
    deploymentOf[id] = deployment
  end
end

function deployments.inService(deployment)
  local outage = deployment.state.outage
  return not outage or now >= outage.untilTime
end

-- Returns why the deployment is not in service and until when, or nil if it is in service.
function deployments.outage(deployment)
  return not deployments.inService(deployment) and deployment.state.outage or nil
end

-- Returns why and until when a deployment on trial accepts only jobs that it has not refused; nil if it accepts all.
-- The time counts from when a job that it refused could run, and restarts after an inconclusive call.
function deployments.leftToOthers(deployment)
  local own = deployment.state
  if not own.onTrial or not own.outage or not deployments.inService(deployment) then return nil end
  own.leftUntil = own.leftUntil or now + leftToOthersMs
  if now < own.leftUntil then return own.outage.reason, own.leftUntil end
  return nil
end

function deployments.hasFreeSlot(deployment)
  local own, most = deployment.state, deployment.maxConcurrency
  return own.running < (own.onTrial and math.min(own.trialSize or 1, most) or most)
end

function deployments.reinstate(own)
  own.outage = nil
  own.failures = 0
  own.onTrial = false
  own.accusers = {}
end

local function enter(own, outage, trialSize)
  own.outage = outage
  own.onTrial = true
  own.trialSize = trialSize or 1
  own.leftUntil = nil
  own.accusers = {}
  if outage.state == 'out_of_service' then own.answeredAt = -infinity end
end

local function pause(deployment, backoff, reason, retryAfterMs)
  if not deployments.inService(deployment) then return end
  local own = deployment.state
  local pauseMs = math.min(backoff.maxMs, backoff.baseMs * 2 ^ math.min(16, own.failures))
  local longestWait = backoff.maxMs * 2 ^ math.min(16, own.failures)
  own.failures = own.failures + 1
  local waitMs = math.min(longestWait, retryAfterMs or pauseMs)
  enter(own, { state = 'cooling_down', untilTime = now + waitMs, reason = reason })
end

-- Records that the deployment refused a job and that nothing shows yet whose fault that was.
local function accuse(deployment, id, reason, grantedAt)
  local own = deployment.state
  local outage = own.outage
  if not deployments.inService(deployment) or (outage and grantedAt < outage.untilTime) then return end
  own.accusers = own.accusers or {}
  local known = false
  for _, accuser in ipairs(own.accusers) do known = known or accuser == id end
  if not known then table.insert(own.accusers, id) end
  own.accusedAt = now
  local isTrial = own.onTrial and outage and outage.state == 'out_of_service'
  if not isTrial and #own.accusers < accusersAllowed then return end
  local step = 2 ^ math.min(16, own.failures)
  own.failures = own.failures + 1
  enter(own, {
    state = 'out_of_service',
    untilTime = now + math.min(coolDown.maxMs, coolDown.baseMs * step),
    reason = reason,
    accusedSince = outage and outage.accusedSince or now,
  }, step)
end

-- Returns changes of state since the previous call: [[id, state, reason]...].
function deployments.takeChanges()
  local changes = {}
  for id, own in pairs(control.deployments) do
    local outage = own.onTrial and own.outage or nil
    local told = own.told or { state = 'in_service', reason = '' }
    local current = outage and outage.state or 'in_service'
    if current ~= told.state then
      own.told = { state = current, reason = outage and outage.reason or told.reason }
      table.insert(changes, { id, current, own.told.reason })
    end
  end
  return changes
end

-- Whether a call shows something new: it does not if it was already running when the outage began.
local function isFresh(deployment, grantedAt)
  local outage = deployment.state.outage
  if not outage then return true end
  if outage.accusedSince then return grantedAt > outage.accusedSince end
  return grantedAt >= outage.untilTime
end

-- ---------------------------------------------------------------- signals

-- Returns the quotas that a throttle means; the fullest if it names none.
local function exceeded(deployment, throttle)
  local found, fullest = {}, nil
  for _, quota in ipairs(deployment.quotas) do
    if quota.per == 'minute' then
      local isRequests = quota.unit == 'requests'
      if (throttle == 'requests' and isRequests) or (throttle == 'tokens' and not isRequests) then
        table.insert(found, quota)
      elseif throttle ~= 'requests' and throttle ~= 'tokens' then
        local fullness = quotas.used(quota) / quota.state.limit.value
        if not fullest or fullness > fullest then
          fullest = fullness
          found = { quota }
        end
      end
    end
  end
  return found
end

-- Whether configured quotas explain a throttle, so that it says nothing about the job.
function deployments.explains(deployment, throttle)
  return throttle ~= 'tokens_per_day' and #exceeded(deployment, throttle) > 0
end

local function tokensPerDay(deployment)
  local daily, names = {}, {}
  for _, quota in ipairs(deployment.quotas) do
    if quota.per == 'day' and quota.unit ~= 'requests' then
      table.insert(daily, quota)
      table.insert(names, quota.name)
    end
  end
  return daily, names
end

local function sharesAny(list, others)
  for _, item in ipairs(list) do
    if contains(others, item) then return true end
  end
  return false
end

-- Parks every deployment that shares the used-up tokens, and the quotas themselves.
local function usedUpToday(deployment, retryAfterMs)
  local daily, names = tokensPerDay(deployment)
  local what = #daily > 0 and 'of ' .. table.concat(names, ', ') or 'in ' .. deployment.dailyPool
  for _, other in pairs(deploymentOf) do
    local otherDaily = tokensPerDay(other)
    local isSharing
    if #daily > 0 then
      isSharing = sharesAny(otherDaily, daily)
    else
      isSharing = #otherDaily == 0 and other.dailyPool == deployment.dailyPool
    end
    if isSharing then
      pause(other, park, 'The provider says that the tokens per day ' .. what .. ' are used up.', retryAfterMs)
    end
  end
  local outage = deployments.outage(deployment)
  for _, quota in ipairs(daily) do
    if outage then learning.park(quota.state, outage.untilTime) end
  end
end

local function throttled(deployment, call, throttle, retryAfterMs)
  if throttle == 'tokens_per_day' then return usedUpToday(deployment, retryAfterMs) end
  local found = exceeded(deployment, throttle)
  for _, quota in ipairs(found) do
    local refused = costs.reserved(quota.unit, call.input, call.output, deployment.burndown)
    quotas.throttled(quota, refused, call.grantedAt, retryAfterMs, call.isOldNews)
  end
  if #found == 0 and isFresh(deployment, call.grantedAt) then
    pause(deployment, coolDown, 'The provider throttles by a quota that is not configured.', retryAfterMs)
  end
end

-- Applies a signal to a deployment and its quotas.
--   call    the lease of the call
--   kind    ok | none | throttled | capacity | misconfigured | refused
--   detail  the throttle, or the reason
function deployments.signal(deployment, call, kind, detail, retryAfterMs)
  if kind == 'ok' then
    -- Calls that began before the outage ended prove nothing: 50 that succeed would cancel every cool-down.
    local own = deployment.state
    if call.grantedAt >= (own.accusedAt or -infinity) then own.accusers = {} end
    if isFresh(deployment, call.grantedAt) then
      own.answeredAt = math.max(own.answeredAt or -infinity, call.grantedAt)
      deployments.reinstate(own)
    end
    for _, quota in ipairs(deployment.quotas) do quotas.succeeded(quota) end
  elseif kind == 'capacity' then
    if isFresh(deployment, call.grantedAt) then
      local reason = detail ~= '' and detail or 'The provider is overloaded or unavailable.'
      pause(deployment, coolDown, reason, retryAfterMs)
    end
  elseif kind == 'misconfigured' then
    enter(deployment.state, { state = 'out_of_service', untilTime = now + outOfServiceMs, reason = detail })
  elseif kind == 'none' then
    deployment.state.leftUntil = nil
  elseif kind == 'refused' then
    accuse(deployment, call.id, detail, call.grantedAt)
  elseif kind == 'throttled' then
    deployment.state.leftUntil = nil
    throttled(deployment, call, detail, retryAfterMs)
  end
end
