-- Replaces the estimated tokens of waiting jobs by an exact count.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4..]   three for each job: id, input tokens, output tokens
-- Result      { header }
--- @include "shared/entries"
--- @include "shared/state"
if not state.load() then return redis.error_reply('NOSTATE') end
for at = 4, #ARGV, 3 do
  local entry = entries.get(ARGV[at])
  if entry and entry.state ~= running then
    entry.input = tonumber(ARGV[at + 1])
    entry.output = tonumber(ARGV[at + 2])
    if not entry.exact then control.estimates = control.estimates - 1 end
    entry.exact = true
    entries.put(entry)
  end
end
state.wake()
return state.done()
