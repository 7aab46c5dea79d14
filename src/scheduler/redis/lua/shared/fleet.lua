-- Updates the state of deployments and quotas when the configuration changes or a day ends: see fleet.ts. Quotas are
-- matched by name and deployments by id. Those that a configuration leaves out are kept until the next rebuild, because
-- they may return.
--- @include "state"
--- @include "quota"
--- @include "quota_log"
--- @include "deployment"
--- @include "cost"
local fleet = {}

local dayMs = 86400000
local hourMs = 3600000

local function adoptQuota(settings)
  local guardMs = config.sendWithinMs + config.networkJitterMs
  local name, own = settings.name, control.quotas[settings.name]
  settings.name = nil
  if own and own.settings.per == settings.per and own.settings.unit == settings.unit then
    quotas.reconfigure(own, settings, guardMs)
    return
  end
  if own then quota_log.clear({ name = name, state = own }) end
  control.quotas[name] = quotas.fresh(settings, guardMs)
end

local function adoptDeployment(settings)
  local own = control.deployments[settings.id]
  if not own then
    own = deployments.fresh()
    control.deployments[settings.id] = own
  end
  own.settings = settings
  deployments.reinstate(own)
end

-- Applies a configuration, given as JSON, and loads its quotas and deployments.
function fleet.adopt(json)
  local settings = cjson.decode(json)
  for _, quota in ipairs(settings.quotas) do adoptQuota(quota) end
  for _, deployment in ipairs(settings.deployments) do adoptDeployment(deployment) end
  deployments.openAll()
end

-- Stores the configuration's weights, overridden by those of `setTenantWeights`.
local function storeTenantWeights(configured)
  local set = call('GET', prefix .. 'weighed')
  call('DEL', prefix .. 'tenant_weights')
  for _, weights in ipairs({ configured, set and cjson.decode(set) or {} }) do
    for tenant, weight in pairs(weights) do
      call('HSET', prefix .. 'tenant_weights', tenant, string.format('%.17g', weight))
    end
  end
end

-- Stores a configuration, given as JSON, for all processes. Keeps the JSON for processes that hold an older one, and
-- packs what scripts need at every call. Weights of tenants may be many, so scripts read them one by one.
function fleet.storeConfig(json)
  local settings = cjson.decode(json)
  storeTenantWeights(settings.weights.tenants)
  local packed = cmsgpack.pack({
    version = settings.version,
    leaseMs = settings.leaseMs,
    sendWithinMs = settings.sendWithinMs,
    networkJitterMs = settings.networkJitterMs,
    missingModelWaitMs = settings.missingModelWaitMs,
    models = settings.models,
    quotas = fleet.namesOf(settings.quotas, 'name'),
    deployments = fleet.namesOf(settings.deployments, 'id'),
    weights = { environments = settings.weights.environments, priorities = settings.weights.priorities },
    hasTenantWeights = call('EXISTS', prefix .. 'tenant_weights') == 1,
  })
  call('SET', prefix .. 'config', packed)
  call('SET', prefix .. 'config_json', json)
  config = cmsgpack.unpack(packed)
end

function fleet.namesOf(list, field)
  local names = {}
  for _, item in ipairs(list) do table.insert(names, item[field]) end
  return names
end

-- Returns the time since the provider reset the quota, in ms; nil if it does not reset at a fixed hour.
local function intoDay(quota)
  if quota.per ~= 'day' or not quota.resetHourUtc then return nil end
  return (state.wall - quota.resetHourUtc * hourMs) % dayMs
end

-- Empties the daily quotas whose reset hour has passed.
local function rollDays()
  for _, quota in pairs(quotaOf) do
    local into = intoDay(quota)
    if into then
      local day = math.floor((state.wall - into) / hourMs + 0.5)
      quotas.rollDay(quota, day, now + math.ceil(dayMs - into))
    end
  end
end

-- Loads quotas and deployments. Every script that reads or charges quotas calls it first.
function fleet.open()
  deployments.openAll()
  rollDays()
end

-- Charges a call that was made before a rebuild. Call it in the order of time.
function fleet.restoreCharge(deployment, agoMs, input, output, isSettled)
  local cost = isSettled and costs.settled or costs.reserved
  local charges = {}
  for _, quota in ipairs(deployment.quotas) do
    if agoMs <= math.min(quota.span, intoDay(quota) or quota.span) then
      local charged = cost(quota.unit, input, output, deployment.burndown)
      table.insert(charges, quotas.charge(quota, charged, now - math.max(0, math.floor(agoMs)), not isSettled))
    end
  end
  return charges
end
