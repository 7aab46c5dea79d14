-- What is known of a deployment besides its quotas, and what is learned from how a call ended: see deployment.ts and
-- signals.ts.
--- @include "state"
--- @include "quota"
--- @include "learning"
local deployments = {}

local coolDownBaseMs = 1000
local coolDownMaxMs = 60000
local outOfServiceMs = 300000
local dailyParkMs = 900000

-- By id: the configuration's numbers, with the deployment's state and its quotas.
local deploymentOf = {}

function deployments.fresh()
  return { running = 0, failures = 0, onTrial = false }
end

-- Makes quotas and deployments ready for use, also those that the configuration has left out.
function deployments.openAll()
  for name in pairs(control.quotas) do quotas.open(name) end
  for id, own in pairs(control.deployments) do
    local settings = own.settings
    local deployment = {
      id = id,
      region = settings.region,
      maxConcurrency = settings.maxConcurrency,
      burndown = settings.outputBurndown,
      quotas = {},
      state = own,
    }
    for _, name in ipairs(settings.quotas) do table.insert(deployment.quotas, quotaOf[name]) end
    deploymentOf[id] = deployment
  end
end

function deployments.inService(deployment)
  local trouble = deployment.state.trouble
  return not trouble or now >= trouble.untilTime
end

-- Why it is not in service, and until when; nil if it is.
function deployments.trouble(deployment)
  return not deployments.inService(deployment) and deployment.state.trouble or nil
end

function deployments.hasRoom(deployment)
  return deployment.state.running < (deployment.state.onTrial and 1 or deployment.maxConcurrency)
end

function deployments.revive(own)
  own.trouble = nil
  own.failures = 0
  own.onTrial = false
end

local function coolDown(deployment, reason, retryAfterMs)
  -- Calls that were running when the trouble began say nothing new.
  if not deployments.inService(deployment) then return end
  local own = deployment.state
  local backoff = math.min(coolDownMaxMs, coolDownBaseMs * 2 ^ math.min(16, own.failures))
  own.failures = own.failures + 1
  own.onTrial = true
  own.trouble = { state = 'cooling_down', untilTime = now + (retryAfterMs or backoff), reason = reason }
end

-- ---------------------------------------------------------------- signals

-- The quotas that a throttle speaks of; where it names none, the fullest.
local function exceeded(deployment, throttle)
  local found, fullest = {}, nil
  for _, quota in ipairs(deployment.quotas) do
    if quota.per == 'minute' then
      local isRequests = quota.unit == 'requests'
      if (throttle == 'requests' and isRequests) or (throttle == 'tokens' and not isRequests) then
        table.insert(found, quota)
      elseif throttle ~= 'requests' and throttle ~= 'tokens' then
        local fullness = quotas.used(quota) / quota.state.effectiveLimit
        if not fullest or fullness > fullest then
          fullest = fullness
          found = { quota }
        end
      end
    end
  end
  return found
end

local function throttled(deployment, throttle, retryAfterMs)
  if throttle == 'tokens_per_day' then
    local parkMs = retryAfterMs or dailyParkMs
    local anyDaily = false
    for _, quota in ipairs(deployment.quotas) do
      if quota.per == 'day' then
        learning.park(quota, now + parkMs)
        anyDaily = true
      end
    end
    if not anyDaily then coolDown(deployment, 'The provider says that its tokens per day are used up.', parkMs) end
    return
  end
  local found = exceeded(deployment, throttle)
  for _, quota in ipairs(found) do learning.throttled(quota, retryAfterMs) end
  if #found == 0 then
    coolDown(deployment, 'The provider throttles by a quota that is not configured.', retryAfterMs)
  end
end

-- kind: ok | none | throttled | capacity | misconfigured; detail: the throttle, or the reason.
function deployments.signal(deployment, kind, detail, retryAfterMs)
  if kind == 'ok' then
    -- Calls that were running when the trouble began do not end it: 50 that end well would cancel every cool-down.
    if deployments.inService(deployment) then deployments.revive(deployment.state) end
    for _, quota in ipairs(deployment.quotas) do learning.succeeded(quota) end
  elseif kind == 'capacity' then
    coolDown(deployment, 'The provider is overloaded or unavailable.', retryAfterMs)
  elseif kind == 'misconfigured' then
    deployment.state.onTrial = true
    deployment.state.trouble = { state = 'out_of_service', untilTime = now + outOfServiceMs, reason = detail }
  elseif kind == 'throttled' then
    throttled(deployment, detail, retryAfterMs)
  end
end
