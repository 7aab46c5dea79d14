-- Takes over a configuration. Jobs, leases, usage and what was learned stay.
-- ARGV[4] configuration as JSON
-- Reply: { header, changes of deployments [[id, state, reason]...] }
--- @include "shared/fleet"
--- @include "shared/waiting_room"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
waiting_room.unbookAll()
local before = config.version
fleet.storeConfig(ARGV[4])
if config.version ~= before then control.configuredAt = now end
fleet.adopt(ARGV[4])
state.wake()
return state.done(deployments.takeChanges())
