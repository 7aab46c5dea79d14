-- The cost of a call, with the arithmetic of cost.ts.
local costs = {}

local function inUnit(unit, input, output)
  if unit == 'requests' then return 1 end
  if unit == 'tokens' then return input + output end
  if unit == 'input_tokens' then return input end
  return output
end

function costs.reserved(unit, input, output, burndown)
  return inUnit(unit, input, math.ceil(output * math.max(1, burndown)))
end

function costs.settled(unit, input, output, burndown)
  return inUnit(unit, input, math.ceil(output * burndown))
end

-- Returns for how many microseconds a charge occupies a quota.
function costs.fair(cost, quota)
  return math.ceil(cost * quota.window * 1000 / quota.limit)
end

-- Fair cost of a job on a deployment without quotas, in microseconds.
costs.unlimited = 1000
