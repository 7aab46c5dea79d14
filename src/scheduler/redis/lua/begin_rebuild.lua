-- Starts a rebuild: closes admission and drops everything known by switching to a new generation of keys. The process
-- that finishes the rebuild deletes the old keys. The caller holds a lock for a lease period, and again with each part
-- that it restores.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     ticket, new for each rebuild
-- Result      { header, 1 if the rebuild is the caller's, else 0 }
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
