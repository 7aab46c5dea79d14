-- Estimates a job's queue position and start, see explainer.ts. What waits in a route is summed up at most once a
-- second, for all processes together. So the virtual times of other tenants are up to a second old. At most 200 tenants
-- per route are counted, and the more there are, the fewer of their jobs the average cost is taken from.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     job id
-- ARGV[5]     more: jobs of the same cost right before it. Only to estimate the position the job would get if enqueued
--             now
-- ARGV[6..]   that job, like ARGV[4..] of enqueue.lua
-- Result      one of
--   { header, 'absent' }
--   { header, 'running', deployment }
--   { header, 'waiting', position, kind, deployment or '', quota or reason or '', startsInMs or -1 }
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
--- @include "shared/estimates"
--- @include "shared/leases"
--- @include "shared/add_jobs"
if not state.load() then return redis.error_reply('NOSTATE') end
fleet.open()
leases.expire()

local summaryMs = 1000
local tenantsCounted = 200
local headsOfEach = 64
local headsInAll = 1024

-- Work is { jobs, input, output, cost }: jobs, their tokens, and their microseconds of quota time.
local function workOf(entry, tiers)
  local cost = tiers[1] and admission.fairCostOn(tiers[1].deployments[1], entry) or 0
  return { jobs = 1, input = entry.input, output = entry.output, cost = cost }
end

local function sum(a, b)
  return { jobs = a.jobs + b.jobs, input = a.input + b.input, output = a.output + b.output, cost = a.cost + b.cost }
end

local function times(work, factor)
  return {
    jobs = work.jobs * factor,
    input = work.input * factor,
    output = work.output * factor,
    cost = work.cost * factor,
  }
end

local nothing = { jobs = 0, input = 0, output = 0, cost = 0 }

-- Returns a route's backlogs: [{ flow, environment, priority, virtualTime, weight, jobs, perJob }...]. `perJob` is the
-- average work of a job.
local function summarize(route, tiers)
  local flows = {}
  for _, environment in ipairs(control.environments) do
    for _, priority in ipairs(environment.priorities) do
      for _, id in ipairs(fair_queue.furthestBehind(priority, route, tenantsCounted - #flows)) do
        table.insert(flows, shares.flow(id))
      end
    end
  end
  local sample = math.max(1, math.min(headsOfEach, math.floor(headsInAll / math.max(1, #flows))))
  local backlogs = {}
  for _, flow in ipairs(flows) do
    local heads = sorted_queue.first(fair_queue.queueKey(flow, route), sample)
    local all = nothing
    for _, sortKey in ipairs(heads) do all = sum(all, workOf(entries.get(entries.idOf(sortKey)), tiers)) end
    table.insert(backlogs, {
      flow = flow.id,
      environment = flow.environment,
      priority = flow.priority,
      virtualTime = flow.virtualTime,
      weight = shares.weightOf(flow, 1),
      jobs = fair_queue.waitingIn(flow, route),
      perJob = times(all, 1 / math.max(1, #heads)),
    })
  end
  return backlogs
end

local function backlogsOf(route, tiers)
  local name = key(string.format('summary:%.0f', route))
  local packed = call('GET', name)
  local summary = packed and cmsgpack.unpack(packed)
  if summary and now - summary.at < summaryMs then return summary.backlogs end
  local backlogs = tiers[1] and summarize(route, tiers) or {}
  call('SET', name, cmsgpack.pack({ at = now, backlogs = backlogs }), 'PX', 60000)
  return backlogs
end

-- Adds what a branch's siblings receive while the branch receives `own`. `siblingOf` maps a backlog to the name,
-- virtual time and weight of the sibling that it belongs to, or to nil.
local function withSiblings(branch, weight, own, backlogs, siblingOf)
  local siblings = {}
  for _, backlog in ipairs(backlogs) do
    local name, virtualTime, siblingWeight = siblingOf(backlog)
    if name then
      local sibling = siblings[name] or { work = nothing, virtualTime = virtualTime, weight = siblingWeight }
      siblings[name] = sibling
      sibling.work = sum(sibling.work, times(backlog.perJob, backlog.jobs))
    end
  end
  local reached = branch.virtualTime + own.cost / weight
  local result = own
  for _, sibling in pairs(siblings) do
    local work = sibling.work
    local due = math.max(0, (reached - sibling.virtualTime) * sibling.weight)
    if work.cost > 0 then result = sum(result, times(work, math.min(1, due / work.cost))) end
  end
  return result
end

-- Returns the work that precedes a job in the queue, with `more` jobs like it.
local function aheadOf(entry, tiers, more)
  local backlogs = backlogsOf(entry.route, tiers)
  local flow = shares.flow(entry.flow)
  local priority, environment = shares.priorityOf(flow.environment, flow.priority)
  local queue = fair_queue.queueKey(flow, entry.route)
  local self = workOf(entry, tiers)
  local perJob = self
  for _, backlog in ipairs(backlogs) do
    if backlog.flow == flow.id then perJob = backlog.perJob end
  end
  local jobs = sorted_queue.rank(queue, entries.sortKey(entry), fair_queue.waitingIn(flow, entry.route))
  local own = sum(times(perJob, jobs), times(self, more))
  local ahead = withSiblings(flow, shares.weightOf(flow, 1), own, backlogs, function(other)
    if other.flow == flow.id then return nil end
    if other.environment ~= flow.environment or other.priority ~= flow.priority then return nil end
    return other.flow, other.virtualTime, other.weight
  end)
  ahead = withSiblings(priority, shares.weightOf(priority, 2), ahead, backlogs, function(other)
    if other.environment ~= flow.environment or other.priority == flow.priority then return nil end
    local sibling = shares.priorityOf(other.environment, other.priority)
    return other.priority, sibling.virtualTime, shares.weightOf(sibling, 2)
  end)
  ahead = withSiblings(environment, shares.weightOf(environment, 3), ahead, backlogs, function(other)
    if other.environment == flow.environment then return nil end
    local _, sibling = shares.priorityOf(other.environment, other.priority)
    return other.environment, sibling.virtualTime, shares.weightOf(sibling, 3)
  end)
  if control.booked[entry.route] then ahead = sum(ahead, workOf(waiting_jobs.bookedIn(entry.route), tiers)) end
  return ahead
end

local isAsked = #ARGV > 4 and not entries.exists(ARGV[4])
if isAsked then addJobs(cjson.decode(ARGV[6]), 7, #ARGV) end
local entry = entries.get(ARGV[4])
if not entry then return state.done('absent') end
entry.suspect = suspects.get(entry.id)
if entry.state == running then return state.done('running', leases.live(entry.detail).deployment) end
local tiers = routes.get(entry.route).tiers
local more = isAsked and tonumber(ARGV[5]) or 0
local ahead = entry.state == ready and aheadOf(entry, tiers, more) or nothing
local position = math.max(1, math.floor(ahead.jobs + 0.5) + 1)
local on = estimates.waitingOn(entry, tiers, position)
local starts = on.kind == 'paused' and -1 or estimates.startsIn(entry, tiers, ahead)
if isAsked then leases.drop(entry) end
return state.done(
  'waiting', position, on.kind, on.deployment or '', on.quota or on.reason or '', starts
)
