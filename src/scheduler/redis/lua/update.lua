-- Gives a waiting job another priority or delay; its token count stays. Adds a job that is not known.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4..]   one job, as for enqueue.lua
-- Result      { header, 'waiting' | 'running' }
--- @include "shared/fleet"
--- @include "shared/add_jobs"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
fleet.open()
leases.expire()
local before = entries.get(ARGV[5])
if before and before.state == running then return state.done('running') end
if before then leases.drop(before) end
addJobs(cjson.decode(ARGV[4]), 5, #ARGV)
if before then
  local entry = entries.get(ARGV[5])
  if before.exact and not entry.exact then control.estimates = control.estimates - 1 end
  if entry.exact and not before.exact then control.estimates = control.estimates + 1 end
  entry.input, entry.output, entry.exact, entry.grants = before.input, before.output, before.exact, before.grants
  entries.put(entry)
end
state.wake()
return state.done('waiting')
