-- The log of a quota: when each charge was made and what it cost, oldest first. Records of 16 bytes are in strings of
-- 256 ("segments"). Appending and editing are O(1), reading is one GETRANGE. The sum of each segment is kept with it,
-- so that looking ahead skips whole segments. 10,000 charges per window are 40 sums and the reading of one segment.
--
-- The part of a segment's sum that was charged for running calls is kept too. In a quota per minute each record is one
-- charge, and half a millisecond on its time means that its call is running. Other versions of Sluice ignore that. A
-- record of a quota per day has many charges and no such mark, because no call runs until its record leaves the log.
--
-- A record has a number that never changes: number -> segment and index. `head` is the oldest that counts, `tail` the
-- next to be written. What is below `head` has left the log, and editing it changes nothing.
--- @include "state"
--- @private
local quota_log = {}

local perSegment = 256
local recordBytes = 16

-- The records that this script read and wrote, by the stored state of the log's quota.
local accesses = {}

-- Returns { quota, segments (read whole), touched (segments of which one record was read), written (see below) }.
local function accessOf(quota)
  local access = accesses[quota.state]
  if not access then
    access = { quota = quota, segments = {}, touched = {}, written = {} }
    accesses[quota.state] = access
  end
  return access
end

local function segmentKey(quota, segment)
  return key('log:' .. quota.name .. ':' .. string.format('%.0f', segment))
end

local function segmentOf(number)
  return math.floor(number / perSegment)
end

-- Records that this script wrote, by segment: { first, last, records }, where each of `records` is { time, cost }. The
-- script writes them at its end, and successive ones together: if it ends 100 calls, it edits 100 records in a row.
local function writtenIn(quota, segment)
  local all = accessOf(quota).written
  local written = all[segment]
  if not written then
    written = { first = infinity, last = -1, records = {} }
    all[segment] = written
  end
  return written
end

-- Returns a record's time, its cost, and whether it is marked as that of a running call. Reads its whole segment, unless
-- `alone` says that no other record of it is needed.
local function record(quota, number, alone)
  local segment = segmentOf(number)
  local access = accessOf(quota)
  local own = access.written[segment]
  local written = own and own.records[number]
  if written then return math.floor(written[1]), written[2], written[1] % 1 > 0 end
  local offset = (number % perSegment) * recordBytes
  local bytes = access.segments[segment]
  if not bytes and alone and not access.touched[segment] then
    access.touched[segment] = true
    bytes = call('GETRANGE', segmentKey(quota, segment), offset, offset + recordBytes - 1)
    offset = 0
  elseif not bytes then
    bytes = call('GET', segmentKey(quota, segment))
    access.segments[segment] = bytes
  end
  local at, cost = struct.unpack('>dd', bytes, offset + 1)
  return math.floor(at), cost, at % 1 > 0
end

local function write(quota, number, at, cost, isOpen)
  local written = writtenIn(quota, segmentOf(number))
  written.records[number] = { at + (isOpen and quota.per == 'minute' and 0.5 or 0), cost }
  if number < written.first then written.first = number end
  if number > written.last then written.last = number end
end

local function flushSegment(quota, segment, written)
  local run, from = {}, written.first
  for number = written.first, written.last + 1 do
    local own = written.records[number]
    if own then
      run[#run + 1] = struct.pack('>dd', own[1], own[2])
    else
      if #run > 0 then call('SETRANGE', segmentKey(quota, segment), (from % perSegment) * recordBytes, table.concat(run)) end
      run, from = {}, number + 1
    end
  end
end

table.insert(flushes, function()
  for _, access in pairs(accesses) do
    for segment, written in pairs(access.written) do flushSegment(access.quota, segment, written) end
  end
end)

local function dropSegment(quota, segment)
  call('UNLINK', segmentKey(quota, segment))
  quota.state.sums[segment] = nil
  local access = accessOf(quota)
  access.segments[segment], access.written[segment] = nil, nil
end

-- Returns when a charge that was made at `at` stops counting.
function quota_log.expiry(quota, at)
  return math.min(at + quota.span + 1, quota.state.dayEndsAt)
end

-- Empties the log.
function quota_log.clear(quota)
  local log = quota.state
  for segment in pairs(log.sums) do call('UNLINK', segmentKey(quota, segment)) end
  log.sums = {}
  accesses[log] = nil
  log.head = log.tail
  log.used = 0
end

function quota_log.isEmpty(quota)
  return quota.state.head == quota.state.tail
end

-- Returns when the record at the head was made.
function quota_log.oldest(quota)
  return (record(quota, quota.state.head))
end

-- Drops what is older than the window: whole segments first, then record by record.
function quota_log.age(quota)
  local log = quota.state
  if log.head == log.tail or quota_log.expiry(quota, log.firstAt) > now then return end
  if quota_log.expiry(quota, log.lastAt) <= now then return quota_log.clear(quota) end
  while true do
    local segment = segmentOf(log.head)
    local sum = log.sums[segment]
    if quota_log.expiry(quota, sum.lastAt) <= now then
      log.used = log.used - sum.cost
      log.head = (segment + 1) * perSegment
      dropSegment(quota, segment)
    else
      local at, cost, isOpen = record(quota, log.head)
      if quota_log.expiry(quota, at) > now then
        log.firstAt = at
        return
      end
      log.used = log.used - cost
      sum.cost = sum.cost - cost
      if isOpen then sum.reserved = sum.reserved - cost end
      log.head = log.head + 1
    end
  end
end

-- Appends a record and returns its number.
function quota_log.append(quota, at, cost, isOpen)
  local log = quota.state
  local number = log.tail
  local segment = segmentOf(number)
  if log.head == log.tail then log.firstAt = at end
  write(quota, number, at, cost, isOpen)
  local sum = log.sums[segment]
  if not sum then
    sum = { cost = 0, reserved = 0 }
    log.sums[segment] = sum
  end
  sum.cost = sum.cost + cost
  if isOpen then sum.reserved = (sum.reserved or 0) + cost end
  sum.lastAt = at
  log.lastAt = at
  log.tail = number + 1
  log.used = log.used + cost
  return number
end

-- Adds to the cost of a record, and to the part of it that was charged for running calls, if it still counts. The
-- record of a single charge is not that of a running call any more if `closes`.
function quota_log.add(quota, number, difference, reserved, closes)
  local log = quota.state
  if number < log.head or (difference == 0 and not closes) then return end
  local at, cost, isOpen = record(quota, number, true)
  write(quota, number, at, cost + difference, isOpen and not closes)
  local sum = log.sums[segmentOf(number)]
  sum.cost = sum.cost + difference
  sum.reserved = (sum.reserved or 0) + reserved
  log.used = log.used + difference
end

-- Returns the part of what counts that was charged for running calls.
function quota_log.reserved(quota)
  local reserved = 0
  for _, sum in pairs(quota.state.sums) do reserved = reserved + (sum.reserved or 0) end
  return reserved
end

-- Walks from the oldest record on. `skip(cost, lastAt)` returns whether to skip a whole segment unread. `visit(at,
-- cost)` returns whether to stop at a record.
function quota_log.walk(quota, skip, visit)
  local log = quota.state
  local number = log.head
  while number < log.tail do
    local segment = segmentOf(number)
    local nextSegment = math.min(log.tail, (segment + 1) * perSegment)
    local sum = log.sums[segment]
    if skip(sum.cost, sum.lastAt) then
      number = nextSegment
    else
      while number < nextSegment do
        if visit(record(quota, number)) then return end
        number = number + 1
      end
    end
  end
end
