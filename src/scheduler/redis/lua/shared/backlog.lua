-- Reports what waits: rows by environment, priority and model, and when the queue of each model will be empty: see
-- backlog.ts. Looks at a limited number of queues and of their heads, never at every job.
--- @include "state"
--- @include "estimates"
--- @include "waiting_jobs"
local backlog = {}

-- Lua allows 200 local variables in a function; the block ends those that no other part needs.
do
  local tenantsAtLeast = 4
  local tenantsCounted = 100
  local headsOfEach = 64
  local headsInAll = 256

  local unpredictable = { paused = true, concurrency = true, rebuild = true }
  local nothing = { jobs = 0, input = 0, output = 0 }

  -- Returns the number of ready or delayed jobs of a priority by route. A version of Sluice that does not count them so
  -- may have left routes without jobs.
  local function countsOf(priority, field)
    local known = {}
    for route, jobs in pairs(priority[field] or {}) do
      if control.routeJobs[route] then known[route] = jobs end
    end
    return known
  end

  -- Returns what the report looks at: [{ environment, priority, route, jobs, queues }...] for each priority and route.
  -- `jobs` is the number of all ready jobs, and `queues` are some of their queues: [{ jobs, heads }...].
  local function groupsOf()
    local groups, queuesIn, routesIn = {}, {}, 0
    for _, environment in ipairs(control.environments) do
      for _, priority in ipairs(environment.priorities) do
        for route, jobs in pairs(countsOf(priority, 'readyIn')) do
          table.insert(groups, { environment = environment.name, priority = priority, route = route, jobs = jobs })
        end
      end
    end
    local limit = math.max(tenantsAtLeast, math.min(tenantsCounted, math.floor(headsInAll / math.max(1, #groups))))
    for _, group in ipairs(groups) do
      group.flows = fair_queue.furthestBehind(group.priority, group.route, limit)
      if not queuesIn[group.route] then routesIn = routesIn + 1 end
      queuesIn[group.route] = (queuesIn[group.route] or 0) + #group.flows
    end
    for _, group in ipairs(groups) do
      local ofRoute = math.floor(headsInAll / routesIn)
      local sample = math.max(1, math.min(headsOfEach, math.floor(ofRoute / queuesIn[group.route])))
      group.queues = {}
      for _, id in ipairs(group.flows) do
        local flow = shares.peek(id)
        local heads = sorted_queue.first(fair_queue.queueKey(flow, group.route), sample)
        table.insert(group.queues, {
          jobs = fair_queue.waitingIn(flow, group.route),
          heads = heads,
          isPaused = state.pausedOwner(flow.environment, flow.tenant) ~= nil,
        })
      end
    end
    return groups
  end

  -- Whether a job says more about its row than another: the oldest, but not one of a paused tenant.
  local function saysMore(one, other)
    if one.isPaused ~= other.isPaused then return other.isPaused end
    return sorted_queue.isBefore(one.sortKey, other.sortKey)
  end

  local function rowsOf(groups)
    local rows, list = {}, {}
    local function rowOf(environment, priority, route)
      local model = routes.get(route).models[1]
      local name = table.concat({ environment, priority, model }, '\n')
      if not rows[name] then
        rows[name] = { environment = environment, priority = priority, model = model, ready = 0, delayed = 0 }
        table.insert(list, rows[name])
      end
      return rows[name]
    end
    local function offer(row, sortKey, isPaused)
      local job = { sortKey = sortKey, isPaused = isPaused }
      row.hasPaused = row.hasPaused or isPaused
      if not row.oldest or saysMore(job, row.oldest) then row.oldest = job end
    end
    for _, group in ipairs(groups) do
      local row = rowOf(group.environment, group.priority.name, group.route)
      row.ready = row.ready + group.jobs
      for _, queue in ipairs(group.queues) do offer(row, queue.heads[1], queue.isPaused) end
    end
    for _, route in ipairs(routes.booked()) do
      local entry = waiting_jobs.bookedIn(route)
      local flow = shares.flow(entry.flow)
      local row = rowOf(flow.environment, flow.priority, route)
      row.ready = row.ready + 1
      offer(row, entries.sortKey(entry), state.pausedOwner(flow.environment, flow.tenant) ~= nil)
    end
    for _, environment in ipairs(control.environments) do
      for _, priority in ipairs(environment.priorities) do
        for route, jobs in pairs(countsOf(priority, 'delayedIn')) do
          local row = rowOf(environment.name, priority.name, route)
          row.delayed = row.delayed + jobs
        end
      end
    end
    return list
  end

  -- Returns the ready jobs of each model and their tokens.
  local function loadsByModel(groups)
    local loads = {}
    local function add(model, jobs, input, output)
      local load = loads[model] or { jobs = 0, input = 0, output = 0 }
      load.jobs = load.jobs + jobs
      load.input = load.input + math.ceil(input)
      load.output = load.output + math.ceil(output)
      loads[model] = load
    end
    for _, group in ipairs(groups) do
      local seen, inputs, outputs = 0, 0, 0
      for _, queue in ipairs(group.queues) do
        local input, output = 0, 0
        for _, sortKey in ipairs(queue.heads) do
          local entry = entries.get(entries.idOf(sortKey))
          input, output = input + entry.input, output + entry.output
        end
        seen = seen + queue.jobs
        inputs = inputs + math.ceil(queue.jobs * input / #queue.heads)
        outputs = outputs + math.ceil(queue.jobs * output / #queue.heads)
      end
      local model = routes.get(group.route).models[1]
      -- Tenants that were not looked at count like the others.
      local factor = seen > 0 and group.jobs / seen or 1
      add(model, group.jobs, inputs * factor, outputs * factor)
    end
    for _, route in ipairs(routes.booked()) do
      local entry = waiting_jobs.bookedIn(route)
      add(routes.get(route).models[1], 1, entry.input, entry.output)
    end
    return loads
  end

  -- Returns the time until the ready jobs of a model, of which one is given, have started; -1 if unknown.
  local function emptyIn(entry, tiers, load)
    local deployment = admission.earliestStart(entry, tiers)
    if not deployment or #deployment.quotas == 0 then return -1 end
    return estimates.startsIn(entry, tiers, {
      jobs = load.jobs - 1,
      input = math.max(0, load.input - entry.input),
      output = math.max(0, load.output - entry.output),
    })
  end

  -- Returns two lists:
  --   [[environment, priority, model, ready, delayed, order in 8 bytes or '', kind or '', deployment or '', quota or
  --     reason or '', time until the start in ms, -1 if unknown]...]
  --   [[model, time until empty in ms, -1 if unknown]...]
  function backlog.report()
    local groups = groupsOf()
    local loads = loadsByModel(groups)
    local waiting, oldest, blocked, models = {}, {}, {}, {}
    for _, row in ipairs(rowsOf(groups)) do
      local on, startsInMs = {}, -1
      if row.oldest then
        local entry = entries.get(entries.idOf(row.oldest.sortKey))
        entry.suspect = suspects.get(entry.id)
        local tiers = routes.get(entry.route).tiers
        on = estimates.waitingOn(entry, tiers, 1)
        local other = oldest[row.model]
        if not other or saysMore(row.oldest, other.job) then
          oldest[row.model] = { job = row.oldest, entry = entry, tiers = tiers, on = on }
        end
        if row.hasPaused then blocked[row.model] = true end
        if not unpredictable[on.kind] then startsInMs = estimates.startsIn(entry, tiers, nothing) end
      end
      table.insert(waiting, {
        row.environment, row.priority, row.model, row.ready, row.delayed,
        row.oldest and string.sub(row.oldest.sortKey, 1, 8) or '',
        on.kind or '', on.deployment or '', on.quota or on.reason or '', startsInMs,
      })
    end
    for model, first in pairs(oldest) do
      local isUnknown = blocked[model] or unpredictable[first.on.kind]
      local emptyInMs = isUnknown and -1 or emptyIn(first.entry, first.tiers, loads[model])
      table.insert(models, { model, emptyInMs })
    end
    return waiting, models
  end
end
