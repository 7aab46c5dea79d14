-- Starts a rebuild: admission closes, and everything known is dropped by turning to a new generation of keys. The old
-- keys are deleted by whoever finishes. The caller holds a lock for a
-- lease period, and again with each part that it restores.
-- ARGV[4] ticket, new for each rebuild
-- Reply: { header, 1 if the rebuild is the caller's, else 0 }
--- @include "shared/fleet"
if not state.load() then return redis.error_reply('NOSTATE') end
if control.ticket == ARGV[4] then return state.done(1) end
if state.admission() == 'rebuilding' then return state.done(0) end
local before = control
state.fresh(before.generation + 1, ARGV[4])
control.offset, control.now = before.offset, before.now
control.paused = before.paused or {}
control.configuredAt = before.configuredAt
control.admission = 'rebuilding'
control.ticket = ARGV[4]
control.lockedUntil = now + config.leaseMs
fleet.adopt(call('GET', prefix .. 'config_json'))
return state.done(1)
