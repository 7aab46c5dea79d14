-- Moves the charge of a grant to now if the quotas admit that, or if the call has left. Otherwise releases the charge.
-- The lease stays.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     operation: id of this call
-- ARGV[5]     job id
-- ARGV[6]     grant token
-- ARGV[7]     '1' if the call has left
-- Result      { header, 'recharged' | 'refused' | 'lost', sendWithinMs }
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
local earlier = state.earlierReply('recharge ' .. ARGV[4])
if earlier then return state.done(unpack(earlier)) end
fleet.open()
leases.expire()

local function recharge()
  local lease = leases.live(ARGV[6])
  if not lease or lease.id ~= ARGV[5] then return 'lost' end
  leases.voidCharges(lease)
  lease.wasLate = ARGV[7] == '1'
  local admitted = lease.wasLate or leases.admitsAgain(lease)
  if admitted then
    lease.grantedAt = now
    lease.charges = leases.chargeAll(deploymentOf[lease.deployment], lease)
  end
  leases.save(lease)
  if admitted then return 'recharged' end
  state.wake()
  return 'refused'
end

return state.done(unpack(state.keepReply('recharge ' .. ARGV[4], { recharge(), config.sendWithinMs })))
