-- Leases in force, and leases that ended recently: see leases.ts. An answer may still arrive for an ended lease, and
-- its charge must be settled. A repeated settlement must be recognised.
--- @include "state"
--- @include "entries"
--- @include "cost"
--- @include "admission"
--- @include "waiting_jobs"
--- @private
local leases = {}

-- Minimum number of settled grants that are known.
local settledKept = 4096
-- How long a lost lease is kept, in ms: longer than any call lasts.
local lostKeptMs = 3600000
-- Expired leases that one script ends; the next script ends the rest.
local expireAtOnce = 1000

-- Leases in force that this script read or created, by grant. `changed` has those to write at its end: true to store
-- the lease, false if it ended.
local liveRead = {}
local changed = {}
-- Answers to settlements that this script adds at its end.
local settledNow = {}

-- Packs lists without names: packing and unpacking the names took half of the time of a settlement.
local function pack(lease)
  local charges = {}
  for index, charge in ipairs(lease.charges) do
    local paced = charge.paced
    charges[index] = {
      charge.quota, charge.serial, charge.number, charge.cost, charge.reserved,
      paced.time, paced.ends, paced.refundsBefore, charge.isOpen or false,
    }
  end
  return cmsgpack.pack({
    lease.serial, lease.id, lease.flow, lease.environment, lease.priority, lease.deployment,
    lease.input, lease.output, lease.fairCost, lease.expiresAt, lease.settled or false, charges, lease.grantedAt,
    lease.route, lease.exact, lease.wasLate or false,
  })
end

local function unpackLease(grant, packed)
  local fields = cmsgpack.unpack(packed)
  local lease = {
    grant = grant,
    -- Leases are numbered in the order in which they were granted.
    serial = fields[1],
    id = fields[2],
    flow = fields[3],
    environment = fields[4],
    priority = fields[5],
    deployment = fields[6],
    input = fields[7],
    output = fields[8],
    fairCost = fields[9],
    expiresAt = fields[10],
    -- The answer to its settlement; false before.
    settled = fields[11],
    charges = {},
    -- When the job was granted, or when its charge was last moved.
    grantedAt = fields[13],
    -- As in the job's entry, which does not change while it runs. Leases of earlier versions lack both.
    route = fields[14],
    exact = fields[15],
    -- Whether the call left later than its charge allowed.
    wasLate = fields[16] or false,
  }
  for index, charge in ipairs(fields[12]) do
    lease.charges[index] = {
      quota = charge[1],
      serial = charge[2],
      number = charge[3],
      cost = charge[4],
      reserved = charge[5],
      paced = { time = charge[6], ends = charge[7], refundsBefore = charge[8] },
      isOpen = charge[9],
    }
  end
  return lease
end

-- Adds settled grants. They are kept in two hashes: when the first has `settledKept` grants, it replaces the second. So
-- at least that many are known.
local function writeSettled()
  local fields = {}
  for grant, answer in pairs(settledNow) do
    table.insert(fields, grant)
    table.insert(fields, answer)
  end
  if #fields == 0 then return end
  state.callMany('HSET', key('settled'), fields)
  if call('HLEN', key('settled')) >= settledKept then call('RENAME', key('settled'), key('settled_before')) end
end

local function writeChanged()
  local fields, expiries, ended = {}, {}, {}
  for grant, isChanged in pairs(changed) do
    if isChanged then
      local lease = liveRead[grant]
      table.insert(fields, grant)
      table.insert(fields, pack(lease))
      table.insert(expiries, string.format('%.0f', lease.expiresAt))
      table.insert(expiries, grant)
    else
      table.insert(ended, grant)
    end
  end
  state.callMany('HSET', key('leases'), fields)
  state.callMany('ZADD', key('lease_expiry'), expiries)
  state.callMany('HDEL', key('leases'), ended)
  state.callMany('ZREM', key('lease_expiry'), ended)
  changed = {}
end

table.insert(flushes, function()
  writeChanged()
  writeSettled()
end)

-- Returns the lease in force with this token, or nil.
function leases.live(grant)
  if liveRead[grant] == nil then
    local packed = call('HGET', key('leases'), grant)
    liveRead[grant] = packed and unpackLease(grant, packed)
  end
  return liveRead[grant] or nil
end

-- Reads leases that the script is about to use, in one call.
function leases.readAll(grants)
  for from = 1, #grants, 1000 do
    local to = math.min(#grants, from + 999)
    local packed = call('HMGET', key('leases'), unpack(grants, from, to))
    for index = from, to do
      local grant, lease = grants[index], packed[index - from + 1]
      if liveRead[grant] == nil then liveRead[grant] = lease and unpackLease(grant, lease) end
    end
  end
end

-- Leases a job that is not waiting, and writes its record.
function leases.add(entry, grant, deployment, charges)
  local flow = shares.flow(entry.flow)
  entry.state = running
  entry.detail = grant
  entries.put(entry)
  deployment.state.running = deployment.state.running + 1
  control.running = control.running + 1
  control.serial = control.serial + 1
  local lease = {
    grant = grant,
    serial = control.serial,
    id = entry.id,
    flow = entry.flow,
    environment = flow.environment,
    priority = flow.priority,
    deployment = deployment.id,
    route = entry.route,
    exact = entry.exact,
    input = entry.input,
    output = entry.output,
    charges = charges,
    fairCost = admission.fairCostOn(deployment, entry),
    grantedAt = now,
    expiresAt = now + config.leaseMs,
  }
  liveRead[grant] = lease
  changed[grant] = true
  control.nextExpiry = math.min(control.nextExpiry, lease.expiresAt)
  return lease
end

function leases.renew(lease)
  lease.expiresAt = now + config.leaseMs
  changed[lease.grant] = true
end

-- Gives a waiting job back to the worker whose lease expired. Returns whether that was possible. Its charges still
-- count.
function leases.resume(id, grant)
  local lease = leases.lost(grant)
  local entry = lease and not lease.settled and lease.id == id and entries.get(id)
  local own = entry and control.deployments[lease.deployment]
  if not own or entry.state == running then return false end
  waiting_jobs.leave(entry)
  entry.state = running
  entry.detail = grant
  entries.put(entry)
  local flow = shares.flow(entry.flow)
  lease.flow, lease.environment, lease.priority = entry.flow, flow.environment, flow.priority
  lease.route, lease.exact = entry.route, entry.exact
  own.running = own.running + 1
  control.running = control.running + 1
  call('HDEL', key('lost'), grant)
  call('ZREM', key('lost_until'), grant)
  liveRead[grant] = lease
  leases.renew(lease)
  control.nextExpiry = math.min(control.nextExpiry, lease.expiresAt)
  return true
end

function leases.save(lease)
  changed[lease.grant] = true
end

-- Returns the answer to repeated settlements: 'settled' or 'lost'; nil if the grant is not known as settled.
function leases.settledAnswer(grant)
  return settledNow[grant] or call('HGET', key('settled'), grant) or call('HGET', key('settled_before'), grant) or nil
end

function leases.lost(grant)
  local packed = call('HGET', key('lost'), grant)
  return packed and unpackLease(grant, packed) or nil
end

function leases.saveLost(lease)
  call('HSET', key('lost'), lease.grant, pack(lease))
end

local function keepLost(lease)
  leases.saveLost(lease)
  local untilKey = key('lost_until')
  for _, grant in ipairs(call('ZRANGEBYSCORE', untilKey, '-inf', string.format('%.0f', now), 'LIMIT', 0, 100)) do
    call('ZREM', untilKey, grant)
    call('HDEL', key('lost'), grant)
  end
  call('ZADD', untilKey, string.format('%.0f', now + lostKeptMs), lease.grant)
end

-- Returns the quota of a charge; nil if another quota has its name now, because its unit or window changed.
local function quotaOfCharge(charge)
  local quota = quotaOf[charge.quota]
  return quota and quota.state.serial == charge.serial and quota or nil
end

-- Ends a lease. The caller decides what becomes of the job. The charges stay.
function leases.release(lease)
  for _, charge in ipairs(lease.charges) do
    local quota = quotaOfCharge(charge)
    if quota then quotas.close(quota, charge) end
  end
  local own = control.deployments[lease.deployment]
  own.running = own.running - 1
  control.running = control.running - 1
  liveRead[lease.grant] = false
  changed[lease.grant] = false
  if lease.settled then settledNow[lease.grant] = lease.settled else keepLost(lease) end
end

-- Ends leases that were not renewed in time and requeues their jobs.
function leases.expire()
  if not state.isOpen() or now < control.nextExpiry then return end
  local expiry = key('lease_expiry')
  local lapsed = {}
  for _, grant in ipairs(call('ZRANGEBYSCORE', expiry, '-inf', string.format('%.0f', now), 'LIMIT', 0, expireAtOnce)) do
    table.insert(lapsed, leases.live(grant))
  end
  table.sort(lapsed, function(a, b) return a.serial < b.serial end)
  for _, lease in ipairs(lapsed) do
    leases.release(lease)
    waiting_jobs.enter(entries.get(lease.id))
  end
  writeChanged()
  local first = call('ZRANGE', expiry, 0, 0, 'WITHSCORES')
  control.nextExpiry = first[2] and tonumber(first[2]) or infinity
end

-- Removes a job altogether. Its lease, if any, is lost.
function leases.drop(entry)
  local lease = entry.state == running and leases.live(entry.detail)
  if lease then leases.release(lease) else waiting_jobs.leave(entry) end
  waiting_jobs.drop(entry)
end

-- ---------------------------------------------------------------- charges

-- Charges a call to all quotas of its deployment.
function leases.chargeAll(deployment, job)
  local charges = {}
  local own = admission.costsOn(deployment, job)
  for index, quota in ipairs(deployment.quotas) do charges[index] = quotas.charge(quota, own[index], now, true) end
  return charges
end

-- Returns whether a lease whose charges were released may be charged again now.
function leases.admitsAgain(lease)
  local deployment = deploymentOf[lease.deployment]
  for _, quota in ipairs(deployment.quotas) do
    if not quotas.admitsBeside(quota, admission.costOn(quota, deployment, lease), lease.id) then return false end
  end
  return true
end

function leases.voidCharges(lease)
  for _, charge in ipairs(lease.charges) do
    local quota = quotaOfCharge(charge)
    if quota then quotas.void(quota, charge) end
  end
end

-- Replaces a call's charges by its real usage. Returns by how much its fair cost changed.
local function settleCharges(lease, input, output)
  local burndown = deploymentOf[lease.deployment].burndown
  local cost = #lease.charges == 0 and lease.fairCost or 0
  for _, charge in ipairs(lease.charges) do
    local quota = quotaOfCharge(charge)
    if quota then
      local real = costs.settled(quota.unit, input, output, burndown)
      quotas.settle(quota, charge, real)
      cost = math.max(cost, costs.fair(real, quota))
    else
      cost = math.max(cost, lease.fairCost)
    end
  end
  return cost - lease.fairCost
end

-- Counts the usage of an ended call. `charge` is 'keep', 'void' or 'used'. `input` includes cache writes.
function leases.account(lease, charge, input, output)
  local difference = 0
  if charge == 'void' then
    leases.voidCharges(lease)
    difference = -lease.fairCost
  elseif charge == 'used' then
    difference = settleCharges(lease, input, output)
  end
  lease.fairCost = lease.fairCost + difference
  fair_queue.correct(lease, difference)
end

function leases.signal(lease, kind, detail, retryAfterMs)
  deployments.signal(deploymentOf[lease.deployment], lease, kind, detail, retryAfterMs)
end
