-- Creates the control state if Redis holds none: an empty scheduler, closed until a rebuild.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     epoch of a new state
-- ARGV[5]     configuration as JSON, used only for a new state
-- Result      { header }
--- @include "shared/fleet"
if state.load() then return state.done() end
state.fresh(1, ARGV[4])
fleet.storeConfig(ARGV[5])
state.tick()
control.configuredAt = now
fleet.adopt(ARGV[5])
return state.done()
