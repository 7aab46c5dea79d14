-- A queue sorted by (order, job id). It holds sort keys: 8 bytes of order and then the id, compared as bytes. The queue
-- is split into chunks of at most 128 keys, each a sorted set that Redis keeps as a listpack. An index lists the chunks
-- by where each begins. A waiting job costs 28 bytes here; one sorted set for the whole queue would cost 130. Every
-- operation is O(log n), also for a job that arrives out of order or leaves from the middle.
--
-- An index member is the lowest sort key that its chunk was created for, and 8 bytes that number the chunk.
--- @include "state"
--- @private
local sorted_queue = {}

local chunkSize = 128
-- Number of sort keys that are read at once from the front of a queue.
local readAhead = 1

-- By queue: what was read from its front, and how much of that was taken but not deleted yet.
local fronts = {}

local function chunkKey(member)
  return key('chunk:' .. string.format('%.0f', (struct.unpack('>d', string.sub(member, -8)))))
end

local function newChunk(queue, sortKey)
  control.lastChunk = control.lastChunk + 1
  local member = sortKey .. struct.pack('>d', control.lastChunk)
  call('ZADD', queue, 0, member)
  return member
end

-- Returns the chunk that a sort key belongs to; nil if it is before all chunks.
local function locate(queue, sortKey)
  local above = '[' .. sortKey .. string.rep('\255', 9)
  return call('ZREVRANGEBYLEX', queue, above, '-', 'LIMIT', 0, 1)[1]
end

-- Lets the first chunk begin at a sort key before it.
local function widenFirst(queue, sortKey)
  local first = call('ZRANGE', queue, 0, 0)[1]
  if not first then return newChunk(queue, sortKey) end
  local member = sortKey .. string.sub(first, -8)
  call('ZREM', queue, first)
  call('ZADD', queue, 0, member)
  return member
end

local function settleFront(queue)
  local front = fronts[queue]
  fronts[queue] = nil
  if not front or front.taken == 0 then return end
  local chunk = chunkKey(front.member)
  call('ZREMRANGEBYRANK', chunk, 0, front.taken - 1)
  if front.taken == #front.sortKeys and call('EXISTS', chunk) == 0 then call('ZREM', queue, front.member) end
end

table.insert(flushes, function()
  for queue in pairs(fronts) do settleFront(queue) end
end)

-- Reads this many keys at once, for a script that takes many from the front.
function sorted_queue.readAhead(count)
  readAhead = count
end

-- Splits a full chunk and returns the chunk that the sort key then belongs to. Call it before the insertion: one key
-- too many would make Redis abandon the listpack for good.
local function divide(queue, chunk, sortKey)
  -- Keys that arrive in order leave full chunks behind; any other key splits the chunk in two.
  local after = call('ZRANGEBYLEX', chunk, '[' .. sortKey, '+', 'LIMIT', 0, 1)
  if not after[1] then return newChunk(queue, sortKey) end
  local moved = call('ZRANGE', chunk, chunkSize / 2, -1)
  local target = chunkKey(newChunk(queue, moved[1]))
  for _, other in ipairs(moved) do call('ZADD', target, 0, other) end
  call('ZREMRANGEBYRANK', chunk, chunkSize / 2, -1)
  return locate(queue, sortKey)
end

function sorted_queue.insert(queue, sortKey)
  settleFront(queue)
  local member = locate(queue, sortKey) or widenFirst(queue, sortKey)
  local chunk = chunkKey(member)
  if call('ZCARD', chunk) >= chunkSize then chunk = chunkKey(divide(queue, chunk, sortKey)) end
  call('ZADD', chunk, 0, sortKey)
end

-- Whether one sort key is before another. (Lua's own comparison follows the server's locale.)
function sorted_queue.isBefore(sortKey, other)
  for index = 1, math.min(#sortKey, #other) do
    local byte, otherByte = string.byte(sortKey, index), string.byte(other, index)
    if byte ~= otherByte then return byte < otherByte end
  end
  return #sortKey < #other
end

function sorted_queue.remove(queue, sortKey)
  local front = fronts[queue]
  if front and front.sortKeys[front.taken + 1] == sortKey then
    front.taken = front.taken + 1
    return
  end
  settleFront(queue)
  local member = locate(queue, sortKey)
  local chunk = chunkKey(member)
  call('ZREM', chunk, sortKey)
  if call('EXISTS', chunk) == 0 then call('ZREM', queue, member) end
end

-- Returns the first sort key. The queue must not be empty.
function sorted_queue.head(queue)
  local front = fronts[queue]
  if front and front.taken == #front.sortKeys then
    settleFront(queue)
    front = nil
  end
  if not front then
    local member = call('ZRANGE', queue, 0, 0)[1]
    front = { member = member, sortKeys = call('ZRANGE', chunkKey(member), 0, readAhead - 1), taken = 0 }
    fronts[queue] = front
  end
  return front.sortKeys[front.taken + 1]
end

-- Returns the first sort keys, at most `limit` of them.
function sorted_queue.first(queue, limit)
  settleFront(queue)
  local found = {}
  for _, member in ipairs(call('ZRANGE', queue, 0, math.ceil(limit / chunkSize) * 2)) do
    if #found == limit then break end
    for _, sortKey in ipairs(call('ZRANGE', chunkKey(member), 0, limit - #found - 1)) do table.insert(found, sortKey) end
  end
  return found
end

-- Returns how many sort keys precede this one. Exact up to 32 chunks before it; beyond that, assumes equally full
-- chunks.
function sorted_queue.rank(queue, sortKey, size)
  settleFront(queue)
  local member = locate(queue, sortKey)
  local before = call('ZRANK', queue, member)
  local inside = call('ZRANK', chunkKey(member), sortKey) or 0
  if before > 32 then return math.floor(before * size / call('ZCARD', queue)) + inside end
  for _, other in ipairs(before > 0 and call('ZRANGE', queue, 0, before - 1) or {}) do
    inside = inside + call('ZCARD', chunkKey(other))
  end
  return inside
end
