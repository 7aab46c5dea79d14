-- Returns deployments, quota usage, learned limits and what waits. Numbers that do not apply are -1.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- Result      { header, admission, running, deployments, quotas, waiting, backlogs, paused, missingModels, failInMs,
--               nextReadyInMs }
--   deployments    [[id, running, maxConcurrency, state, reason or '', time until tried again in ms]...]
--   quotas         [[name, unit, per, configured limit, effective limit, configured burst, effective burst,
--                    1 if probing, throttled ms ago, closed for ms, used, reserved, next free in ms]...]
--   waiting        see backlog.lua
--   backlogs       see backlog.lua
--   paused         [key...]
--   missingModels  [[model, jobs]...]
--   failInMs       time until their jobs are impossible
--   nextReadyInMs  time until the first delayed job is ready
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
--- @include "shared/leases"
--- @include "shared/backlog"
if not state.load() then return redis.error_reply('NOSTATE') end
fleet.open()
leases.expire()

local deploymentRows, quotaRows = {}, {}
for _, id in ipairs(config.deployments) do
  local deployment = deploymentOf[id]
  local own = deployment.state
  local isOut = own.onTrial and own.outage and own.outage.state == 'out_of_service'
  local outage = isOut and own.outage or deployments.outage(deployment)
  table.insert(deploymentRows, {
    deployment.id,
    deployment.state.running,
    deployment.maxConcurrency,
    outage and outage.state or 'in_service',
    outage and outage.reason or '',
    outage and math.max(0, outage.untilTime - now) or -1,
  })
end
for _, name in ipairs(config.quotas) do
  local quota = quotaOf[name]
  local own = quota.state
  local nextFree = quotas.nextFree(quota)
  table.insert(quotaRows, {
    quota.name,
    quota.unit,
    quota.per,
    quota.limit,
    own.limit.value,
    own.settings.burst,
    own.burst.value,
    learning.isProbing(own) and 1 or 0,
    own.throttledAt > -infinity and now - own.throttledAt or -1,
    own.closedUntil > now and own.closedUntil - now or -1,
    quotas.used(quota),
    quotas.reserved(quota),
    nextFree and math.max(0, nextFree - now) or -1,
  })
end

local waitingRows, backlogRows = backlog.report()
local nextReadyAt = waiting_jobs.nextReadyAt()
local paused = {}
for name in pairs(control.paused) do table.insert(paused, name) end
return state.done(
  state.admission(),
  control.running,
  deploymentRows,
  quotaRows,
  waitingRows,
  backlogRows,
  paused,
  routes.missingModels(),
  math.max(0, state.impossibleFrom() - now),
  nextReadyAt < infinity and math.max(0, nextReadyAt - now) or -1
)
