-- Replaces the configuration. Jobs, leases, usage and what was learned stay.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     configuration as JSON
-- Result      { header, changes of deployments [[id, state, reason]...] }
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
waiting_jobs.unbookAll()
local before = config.version
fleet.storeConfig(ARGV[4])
if config.version ~= before then control.configuredAt = now end
fleet.adopt(ARGV[4])
state.notifyAll()
return state.done(deployments.takeChanges())
