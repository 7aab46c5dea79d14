-- What a call costs: see cost.ts, whose arithmetic this is.
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

-- For how many microseconds a charge occupies a quota.
function costs.fair(cost, quota)
  return math.ceil(cost * quota.window * 1000 / quota.limit)
end

-- What a job costs the fair shares where nothing limits its deployment.
costs.unlimited = 1000
