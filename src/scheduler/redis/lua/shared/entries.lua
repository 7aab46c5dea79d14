-- The record of each known job: 16 bytes of id -> about 22 packed bytes. Records are spread over 16,384 hashes by the
-- random end of the id, each small enough that Redis keeps it as a listpack. That costs 45 bytes per job with its id; a
-- key of its own would cost 130.
--- @include "state"
local entries = {}

-- Values of an entry's `state`.
local ready, delayed, booked, running = 1, 2, 3, 4

local function bucketOf(id)
  local high, low = string.byte(id, -2, -1)
  return key(string.format('entries:%d', (high * 256 + low) % 16384))
end

-- Returns the job with this id (in bytes), or nil.
function entries.get(id)
  local packed = call('HGET', bucketOf(id), id)
  if not packed then return nil end
  local fields = cmsgpack.unpack(packed)
  return {
    id = id,
    state = fields[1],
    flow = fields[2],
    route = fields[3],
    order = fields[4],
    input = fields[5],
    output = fields[6],
    exact = fields[7] == 1,
    grants = fields[8],
    -- Delayed: until when. Running: the token of its lease.
    detail = fields[9],
  }
end

function entries.exists(id)
  return call('HEXISTS', bucketOf(id), id) == 1
end

function entries.put(entry)
  local packed = cmsgpack.pack({
    entry.state,
    entry.flow,
    entry.route,
    entry.order,
    entry.input,
    entry.output,
    entry.exact and 1 or 0,
    entry.grants,
    entry.detail,
  })
  call('HSET', bucketOf(entry.id), entry.id, packed)
end

function entries.delete(id)
  call('HDEL', bucketOf(id), id)
end

-- Returns the key by which the queues sort a job: 8 bytes of order, then the id.
function entries.sortKey(entry)
  return entry.order .. entry.id
end

function entries.idOf(sortKey)
  return string.sub(sortKey, 9)
end
