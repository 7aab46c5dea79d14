-- Puts a deployment that is out of service, or that cools down, back at once.
-- ARGV[4] its id
-- Reply: { header }
--- @include "shared/deployment"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
local deployment = deploymentOf[ARGV[4]]
if deployment then deployments.revive(deployment.state) end
state.wake()
return state.done()
