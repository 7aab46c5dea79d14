-- Pauses models, deployments or tenants, or resumes them.
-- ARGV[4] '1' to pause, '0' to resume; ARGV[5..] keys of what is meant: see pauses.ts
-- Reply: { header }
--- @include "shared/fleet"
--- @include "shared/waiting_room"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
waiting_room.unbookAll()
for at = 5, #ARGV do control.paused[ARGV[at]] = ARGV[4] == '1' or nil end
state.wake()
return state.done()
