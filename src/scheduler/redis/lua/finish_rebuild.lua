-- Opens admission.
-- ARGV[4] ticket
-- Reply: { header, the generation that is now in use, or 0 if the ticket is not the valid one }
--- @include "shared/state"
if not state.load() then return redis.error_reply('NOSTATE') end
if control.ticket ~= ARGV[4] then return state.done(0) end
control.ticket = nil
control.admission = 'open'
call('UNLINK', key('restored'))
state.notify()
return state.done(control.generation)
