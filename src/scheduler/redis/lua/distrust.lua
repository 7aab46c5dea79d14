-- Closes admission until a rebuild, because a process has seen a later state than this one.
-- ARGV[4] epoch of the state that is not trusted
-- Reply: { header }
--- @include "shared/state"
if not state.load() then return redis.error_reply('NOSTATE') end
if control.epoch == ARGV[4] then
  control.admission = 'rebuild'
  control.ticket = nil
end
return state.done()
