-- Ends the rebuild and opens admission.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     ticket
-- Result      { header, the generation now in use, or 0 if the ticket is not valid }
--- @include "shared/state"
if not state.load() then return redis.error_reply('NOSTATE') end
if control.ticket ~= ARGV[4] then return state.done(0) end
control.ticket = nil
control.admission = 'open'
call('UNLINK', key('restored'))
state.notifyAll()
return state.done(control.generation)
