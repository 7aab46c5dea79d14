-- Removes jobs that ended by other means.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4..]   job ids
-- Result      { header, ['waiting' | 'running' | 'absent', ...] }
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
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
