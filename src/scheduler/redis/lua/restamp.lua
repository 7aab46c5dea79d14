-- Moves the charge of a grant to now, if the quotas admit that; otherwise the job goes back to its place.
-- ARGV[4] operation; ARGV[5] job id; ARGV[6] grant token
-- Reply: { header, 'restamped' | 'requeued' | 'lost', time to send in ms }
--- @include "shared/fleet"
--- @include "shared/waiting_room"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
local earlier = state.earlierReply('restamp ' .. ARGV[4])
if earlier then return state.done(unpack(earlier)) end
fleet.open()
leases.expire()

local function restamp()
  local lease = leases.live(ARGV[6])
  if not lease or lease.id ~= ARGV[5] then return 'lost' end
  leases.voidCharges(lease)
  local entry = entries.get(lease.id)
  local admitted, deployment = leases.admitsAgain(lease)
  if admitted then
    lease.charges = leases.chargeAll(deployment, lease)
    leases.save(lease)
    return 'restamped'
  end
  fair_queue.correct(lease, -lease.fairCost)
  lease.settled = 'lost'
  leases.release(lease)
  waiting_room.enter(entry)
  state.wake()
  return 'requeued'
end

return state.done(unpack(state.keepReply('restamp ' .. ARGV[4], { restamp(), config.sendWithinMs })))
