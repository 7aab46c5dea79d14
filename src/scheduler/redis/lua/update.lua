-- Gives a job that waits another priority or delay; its count of tokens stays. A job that is not known is added.
-- ARGV[4..] as for add.lua, of one job
-- Reply: { header, 'waiting' | 'running' }
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
