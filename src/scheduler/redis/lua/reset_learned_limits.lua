-- Resets what was learned about a quota, or about all.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     name of the quota, or '' for all
-- Result      { header }
--- @include "shared/deployment"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
for name, quota in pairs(quotaOf) do
  if ARGV[4] == '' or ARGV[4] == name then learning.fresh(quota.state) end
end
state.wake()
return state.done()
