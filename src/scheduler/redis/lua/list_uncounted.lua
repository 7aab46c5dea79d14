-- Returns waiting jobs near the heads of their queues whose cost is still an estimate. Looks only at the flows of each
-- priority that are furthest behind, and at a limited number of jobs.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     limit: maximum number of jobs in the result
-- Result      { header, [[job id, environment, models...]...] }
--- @include "shared/waiting_jobs"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
local limit = tonumber(ARGV[4])
local maxFlows = 100
local maxJobs = 1000
local found = {}

local function report(entry)
  if entry.exact or #found == limit then return end
  table.insert(found, { entry.id, shares.flow(entry.flow).environment, unpack(routes.get(entry.route).models) })
end

local function byAge(priority)
  local seen, list = {}, {}
  for _, id in ipairs(fair_queue.furthestBehind(priority, nil, maxFlows)) do
    if not seen[id] then table.insert(list, id) end
    seen[id] = true
  end
  table.sort(list)
  return list
end

local function search()
  local budget = maxJobs
  for _, route in ipairs(routes.booked()) do report(waiting_jobs.bookedIn(route)) end
  for _, environment in ipairs(control.environments) do
    for _, priority in ipairs(environment.priorities) do
      for _, id in ipairs(byAge(priority)) do
        local flow = shares.flow(id)
        for _, queue in ipairs(flow.queues) do
          for _, sortKey in ipairs(sorted_queue.first(fair_queue.queueKey(flow, queue.route), math.min(limit, budget))) do
            report(entries.get(entries.idOf(sortKey)))
            budget = budget - 1
            if #found == limit or budget == 0 then return end
          end
        end
      end
    end
  end
end

if control.estimates > 0 and limit > 0 then search() end
return state.done(found)
