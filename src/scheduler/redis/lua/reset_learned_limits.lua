-- Forgets what was learned about a quota, or about all.
-- ARGV[4] name, or '' for all
-- Reply: { header }
--- @include "shared/deployment"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
for name, quota in pairs(quotaOf) do
  if ARGV[4] == '' or ARGV[4] == name then learning.fresh(quota.state) end
end
state.wake()
return state.done()
