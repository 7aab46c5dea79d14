-- Sets weights of tenants over those of the configuration, in place of all that were set before.
-- ARGV[4] weights by tenant as JSON
-- Reply: { header }
--- @include "shared/fleet"
if not state.load() then return redis.error_reply('NOSTATE') end
call('SET', prefix .. 'weighed', ARGV[4])
fleet.storeConfig(call('GET', prefix .. 'config_json'))
return state.done()
