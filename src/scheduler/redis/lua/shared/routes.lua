-- A route is what decides where a job can run: its models, the regions it may use, and the foundation model that must
-- answer. Routes are numbered in the order in which they appear, and kept while jobs use them.
--- @include "state"
--- @include "deployment"
--- @private
local routes = {}

local routesRead = {}

local function serves(deployment, regions, baseModel)
  if regions and not contains(regions, deployment.region) then return false end
  return not baseModel or deployment.baseModel == baseModel
end

local function tiersOf(models, regions, baseModel)
  local tiers = {}
  for _, model in ipairs(models) do
    local served = config.models[model]
    local found = {}
    for _, id in ipairs(served and served.deployments or {}) do
      local deployment = deploymentOf[id]
      if deployment and serves(deployment, regions, baseModel) then table.insert(found, deployment) end
    end
    if #found > 0 then
      local paused = control.paused['model\n' .. model]
      table.insert(tiers, { model = model, choice = served.choice, deployments = found, paused = paused })
    end
  end
  return tiers
end

-- Returns { name, models, tiers }.
function routes.get(id)
  local route = routesRead[id]
  if route then return route end
  local name = call('HGET', key('routes'), string.format('%.0f', id))
  local parts = cjson.decode(name)
  local regions = parts[2] ~= cjson.null and parts[2] or nil
  route = { name = name, models = parts[1], tiers = tiersOf(parts[1], regions, parts[3]) }
  routesRead[id] = route
  return route
end

-- Returns the number of a route. `name` is what route-key.ts returns: the JSON of [models, sorted regions or null],
-- followed by the foundation model if only that may serve the jobs.
function routes.idOf(name)
  local id = call('HGET', key('route_ids'), name)
  if id then return tonumber(id) end
  control.lastRoute = control.lastRoute + 1
  id = string.format('%.0f', control.lastRoute)
  call('HSET', key('route_ids'), name, id)
  call('HSET', key('routes'), id, name)
  control.routeJobs[control.lastRoute] = 0
  return control.lastRoute
end

-- Counts a job in or out, and drops a route that no job uses any more.
function routes.count(id, difference)
  control.routeJobs[id] = control.routeJobs[id] + difference
  if control.routeJobs[id] > 0 then return end
  call('HDEL', key('route_ids'), routes.get(id).name)
  call('HDEL', key('routes'), string.format('%.0f', id))
  control.routeJobs[id] = nil
end

-- Returns how many jobs wait for models that no deployment serves: [[model, jobs]...]. These routes change only with
-- the configuration and with new routes, so each route is checked once.
function routes.missingModels()
  local known = control.missing
  if not known or known.version ~= config.version then known = { version = config.version, upTo = 0, ids = {} } end
  for id = known.upTo + 1, control.lastRoute do
    if control.routeJobs[id] and #routes.get(id).tiers == 0 then table.insert(known.ids, id) end
  end
  known.upTo = control.lastRoute
  control.missing = known
  local jobs, rows = {}, {}
  for _, id in ipairs(known.ids) do
    local count = control.routeJobs[id]
    if count then
      local model = routes.get(id).models[1]
      jobs[model] = (jobs[model] or 0) + count
    end
  end
  for model, count in pairs(jobs) do table.insert(rows, { model, count }) end
  return rows
end

-- Returns the routes with a booked job, in the order of booking: an earlier booking need not give way to a later one.
function routes.booked()
  local found = {}
  for id in pairs(control.booked) do table.insert(found, id) end
  table.sort(found, function(a, b) return control.booked[a].turn < control.booked[b].turn end)
  return found
end
