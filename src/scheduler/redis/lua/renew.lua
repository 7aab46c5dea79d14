-- Extends leases by a full lease period. Revives an expired lease if its job still waits.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4..]   two for each lease: job id, grant token
-- Result      { header, ['renewed' | 'lost', ...] }
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
fleet.open()
leases.expire()
local answers = {}
for at = 4, #ARGV, 2 do
  local lease = leases.live(ARGV[at + 1])
  local isLive = lease and lease.id == ARGV[at]
  if isLive then leases.renew(lease) else isLive = state.isOpen() and leases.resume(ARGV[at], ARGV[at + 1]) end
  -- Until a rebuild ends, the set of lost grants is not known, and a running call must not be aborted by mistake.
  table.insert(answers, (isLive or not state.isOpen()) and 'renewed' or 'lost')
end
return state.done(answers)
