-- Pauses or resumes models, deployments or tenants.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     '1' to pause, '0' to resume
-- ARGV[5..]   keys of the targets, see pause-scopes.ts
-- Result      { header }
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
waiting_jobs.unbookAll()
for at = 5, #ARGV do control.paused[ARGV[at]] = ARGV[4] == '1' or nil end
state.wake()
return state.done()
