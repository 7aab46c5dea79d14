-- Sets weights of tenants that override the configuration's. Replaces all weights of earlier calls.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     weights by tenant as JSON
-- Result      { header }
--- @include "shared/fleet"
if not state.load() then return redis.error_reply('NOSTATE') end
call('SET', prefix .. 'weighed', ARGV[4])
fleet.storeConfig(call('GET', prefix .. 'config_json'))
return state.done()
