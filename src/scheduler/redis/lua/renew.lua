-- Prolongs leases by a full lease period. One that has expired comes back if its job still waits.
-- ARGV[4..] two for each: job id, grant token
-- Reply: { header, ['renewed' | 'lost', ...] }
--- @include "shared/fleet"
--- @include "shared/waiting_room"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
fleet.open()
leases.expire()
local answers = {}
for at = 4, #ARGV, 2 do
  local lease = leases.live(ARGV[at + 1])
  local isLive = lease and lease.id == ARGV[at]
  if isLive then leases.renew(lease) else isLive = state.isOpen() and leases.resume(ARGV[at], ARGV[at + 1]) end
  -- Until a rebuild is over nobody knows which grants were lost; a call that runs must not be aborted for that.
  table.insert(answers, (isLive or not state.isOpen()) and 'renewed' or 'lost')
end
return state.done(answers)
