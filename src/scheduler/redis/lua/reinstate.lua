-- Returns a deployment to service at once if it is out of service, cooling down or parked, and opens its quotas.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     id of the deployment
-- Result      { header, changes of deployments [[id, state, reason]...] }
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
