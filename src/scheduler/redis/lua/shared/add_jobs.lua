-- Adds the jobs in ARGV[first] to ARGV[last], and returns the places of those that were known, counted from 0. `lists`
-- holds the owners and routes of the jobs, see enqueue.lua.
--- @include "state"
--- @include "deployment"
--- @include "waiting_jobs"
local function addJobs(lists, first, last)
  local flows = {}
  local routeIds = {}
  local known = {}
  for at = first, last, 8 do
    local id = ARGV[at]
    if entries.exists(id) then
      table.insert(known, (at - first) / 8)
    else
      local ownerAt, routeAt = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
      if not flows[ownerAt] then flows[ownerAt] = shares.flowOf(unpack(lists.owners[ownerAt])) end
      if not routeIds[routeAt] then routeIds[routeAt] = routes.idOf(lists.routes[routeAt]) end
      waiting_jobs.add({
        id = id,
        order = ARGV[at + 1],
        flow = flows[ownerAt].id,
        route = routeIds[routeAt],
        input = tonumber(ARGV[at + 4]),
        output = tonumber(ARGV[at + 5]),
        exact = ARGV[at + 6] == '1',
        grants = 0,
      }, tonumber(ARGV[at + 7]))
    end
  end
  return known
end
