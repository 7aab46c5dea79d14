-- Makes the control state if Redis holds none: an empty scheduler, closed until it has been rebuilt.
-- ARGV[4] epoch for a new state; ARGV[5] configuration as JSON, taken over only with a new state
-- Reply: { header }
--- @include "shared/fleet"
if state.load() then return state.done() end
state.fresh(1, ARGV[4])
fleet.storeConfig(ARGV[5])
state.tick()
control.configuredAt = now
fleet.adopt(ARGV[5])
return state.done()
