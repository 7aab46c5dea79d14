-- Takes jobs out because they ended by other means.
-- ARGV[4..] job ids
-- Reply: { header, ['waiting' | 'running' | 'absent', ...] }
--- @include "shared/fleet"
--- @include "shared/waiting_room"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
fleet.open()
leases.expire()
local answers = {}
for at = 4, #ARGV do
  local entry = entries.get(ARGV[at])
  if entry then
    table.insert(answers, entry.state == running and 'running' or 'waiting')
    leases.drop(entry)
  else
    table.insert(answers, 'absent')
  end
end
state.wake()
return state.done(answers)
