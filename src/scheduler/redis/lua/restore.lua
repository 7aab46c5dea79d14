-- Adds usage, learned limits, waiting jobs and leases to the rebuild, and keeps its lock.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     ticket
-- ARGV[5]     part: JSON of { learned, paused, deployments, charges, leases, owners, routes }
--   learned         [[quota, limit, burst, throttled ms ago, closed for ms]...]; -1 if a number is not known
--   paused          [key...]
--   deployments     [id...]
--   charges, leases their numbers
--   owners, routes  see enqueue.lua
-- ARGV[6..]   six for each charge: grant token, deployment (index in that list), ms ago, input tokens, output tokens,
--             '1' if that is real usage; then eight for each job as in enqueue.lua; then three for each lease: job id,
--             grant token, deployment
-- Result      { header, 1, or 0 if the ticket is not valid }
--- @include "shared/fleet"
--- @include "shared/add_jobs"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
if control.ticket ~= ARGV[4] then return state.done(0) end
control.lockedUntil = now + config.leaseMs
fleet.open()
local part = cjson.decode(ARGV[5])

if #part.paused > 0 then waiting_jobs.unbookAll() end
for _, paused in ipairs(part.paused) do control.paused[paused] = true end
for _, learned in ipairs(part.learned) do
  local quota = quotaOf[learned[1]]
  local known = {}
  for index = 2, 5 do known[index] = learned[index] ~= -1 and learned[index] or nil end
  if quota then learning.learn(quota.state, known[2], known[3], known[4], known[5]) end
end

-- Gives a charge to its lease, or keeps it for the lease until the rebuild ends.
local function restoreCharge(at)
  local grant = ARGV[at]
  local deployment = deploymentOf[part.deployments[tonumber(ARGV[at + 1])]]
  local agoMs, input, output = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local charges = deployment and fleet.restoreCharge(deployment, agoMs, input, output, ARGV[at + 5] == '1') or {}
  local lease = leases.live(grant)
  if lease then
    lease.charges = charges
    leases.save(lease)
  else
    call('HSET', key('restored'), grant, cmsgpack.pack(charges))
  end
end

local function restoreLease(at)
  local entry = entries.get(ARGV[at])
  local deployment = deploymentOf[part.deployments[tonumber(ARGV[at + 2])]]
  if not entry or not deployment or entry.state == running then return end
  waiting_jobs.leave(entry)
  local charges = call('HGET', key('restored'), ARGV[at + 1])
  local lease = leases.add(entry, ARGV[at + 1], deployment, charges and cmsgpack.unpack(charges) or {})
  fair_queue.charge(shares.flow(entry.flow), lease.fairCost)
end

local firstJob = 6 + 6 * part.charges
local firstLease = #ARGV + 1 - 3 * part.leases
for at = 6, firstJob - 1, 6 do restoreCharge(at) end
addJobs(part, firstJob, firstLease - 1)
for at = firstLease, #ARGV, 3 do restoreLease(at) end
return state.done(1)
