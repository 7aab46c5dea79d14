-- Puts a deployment that is out of service, cools down or is parked back at once, and opens its quotas.
-- ARGV[4] its id
-- Reply: { header, changes of deployments [[id, state, reason]...] }
--- @include "shared/deployment"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
local deployment = deploymentOf[ARGV[4]]
if deployment then
  deployments.reinstate(deployment.state)
  for _, quota in ipairs(deployment.quotas) do learning.reopen(quota.state) end
end
state.wake()
return state.done(deployments.takeChanges())
