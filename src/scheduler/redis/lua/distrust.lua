-- Closes admission until a rebuild, because a process has seen a later state than this one.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     epoch of the state that is not trusted
-- Result      { header }
--- @include "shared/state"
if not state.load() then return redis.error_reply('NOSTATE') end
if control.epoch == ARGV[4] then
  control.admission = 'rebuild'
  control.ticket = nil
end
return state.done()
