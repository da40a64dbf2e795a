-- Applies one part of a batch and moves the checkpoint, all or nothing as far as other clients can see. Every write
-- is guarded, so after a crash of the server in the middle of it the part is applied again and gives the same.
--
-- KEYS  1 checkpoint, 2 what all other keys begin with (they are in the same slot)
-- ARGV  1 log id, 2 epoch, 3 the number before the first one of this part, or '' for a part that moves no checkpoint,
--       4 seq and 5 time of the new checkpoint, 6 TTL in seconds, 7 window, 8 length of the quarantine,
--       then sections:
--   'p' peer, n, s, n ids, s members of `seen` each after its score, then for each id:
--       rank, content, first_seq, received_at ('' each for no content), g, and g times: field, seq field, seq, value
--   'c' peer, g, and g times: field, seq field, seq, value
--   'q' seq, text
-- Returns {'ok'} | {'other', log id, epoch} | {'moved', seq}
local call, base, ttl, window = redis.call, KEYS[2], ARGV[6], tonumber(ARGV[7])
local stored = call('HMGET', KEYS[1], 'log_id', 'epoch', 'seq')
local moves = ARGV[3] ~= ''
if moves then
  if stored[1] and (stored[1] ~= ARGV[1] or stored[2] ~= ARGV[2]) then
    return {'other', stored[1], stored[2]}
  end
  if tonumber(stored[3] or '0') < tonumber(ARGV[3]) then
    return {'moved', stored[3] or '0'}
  end
end

-- unpack() has room for about 8000 values
local function each_thousand(list, f)
  for from = 1, #list, 1000 do
    f(unpack(list, from, math.min(from + 999, #list)))
  end
end

-- Adds to `set` what of g groups from position i on is newer than what the key has
local function newer(key, i, g, set)
  local fields = {}
  for k = 0, g - 1 do fields[k + 1] = ARGV[i + 4 * k + 1] end
  local old = call('HMGET', key, unpack(fields))
  for k = 0, g - 1 do
    local seq = ARGV[i + 4 * k + 2]
    if not old[k + 1] or tonumber(old[k + 1]) < tonumber(seq) then
      local n = #set
      set[n + 1], set[n + 2], set[n + 3], set[n + 4] = ARGV[i + 4 * k], ARGV[i + 4 * k + 3], ARGV[i + 4 * k + 1], seq
    end
  end
  return i + 4 * g
end

-- Puts ids into the window; returns the lowest id that is in it
local function slide(peer, recent, seen, from, n, s)
  local list = {}
  for k = 0, n - 1 do
    list[2 * k + 1], list[2 * k + 2] = ARGV[from + k], ARGV[from + k]
  end
  each_thousand(list, function(...) call('ZADD', recent, ...) end)
  if s > 0 then
    list = {}
    for k = 1, 2 * s do list[k] = ARGV[from + n + k - 1] end
    each_thousand(list, function(...) call('ZADD', seen, ...) end)
  end
  local over, floor = call('ZCARD', recent) - window, -math.huge
  if over > 0 then
    local gone, keys = call('ZPOPMIN', recent, over), {}
    for k = 1, #gone, 2 do keys[#keys + 1] = base .. 'msg:' .. peer .. ':' .. gone[k] end
    each_thousand(keys, function(...) call('UNLINK', ...) end)
    local lowest = call('ZRANGE', recent, 0, 0)[1]
    floor = tonumber(lowest)
    call('ZREMRANGEBYSCORE', seen, '-inf', '(' .. lowest)
  end
  call('EXPIRE', recent, ttl)
  call('EXPIRE', seen, ttl)
  call('EXPIRE', base .. 'channel:' .. peer, ttl)
  return floor
end

local function message(key, i, inside)
  local rank, g = ARGV[i], tonumber(ARGV[i + 4])
  if not inside then return i + 5 + 4 * g end
  local set = {}
  if rank ~= '' then
    local old = call('HMGET', key, 'rank', 'first_seq')
    if not old[1] or tonumber(old[1]) < tonumber(rank) then
      set[1], set[2], set[3], set[4] = 'content', ARGV[i + 1], 'rank', rank
    end
    if not old[2] or tonumber(ARGV[i + 2]) < tonumber(old[2]) then
      local n = #set
      set[n + 1], set[n + 2], set[n + 3], set[n + 4] = 'received_at', ARGV[i + 3], 'first_seq', ARGV[i + 2]
    end
  end
  i = i + 5
  if g > 0 then i = newer(key, i, g, set) end
  if #set > 0 then
    call('HSET', key, unpack(set))
    call('EXPIRE', key, ttl)
  end
  return i
end

local i, peers, poison = 9, false, false
while i <= #ARGV do
  local section, name = ARGV[i], ARGV[i + 1]
  if section == 'p' then
    peers = true
    local n, s = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
    local ids, start = i + 4, base .. 'msg:' .. name .. ':'
    local floor = slide(name, base .. 'recent:' .. name, base .. 'seen:' .. name, ids, n, s)
    i = ids + n + 2 * s
    for k = 0, n - 1 do
      local id = ARGV[ids + k]
      i = message(start .. id, i, tonumber(id) >= floor)
    end
  elseif section == 'c' then
    peers = true
    local g, key, set = tonumber(ARGV[i + 2]), base .. 'channel:' .. name, {}
    i = newer(key, i + 3, g, set)
    if #set > 0 then
      call('HSET', key, unpack(set))
      call('EXPIRE', key, ttl)
    end
    call('SADD', base .. 'channels', name)
  else
    poison = true
    call('ZADD', base .. 'quarantine', name, ARGV[i + 2])
    i = i + 3
  end
end
if peers then call('EXPIRE', base .. 'channels', ttl) end
if poison then
  call('ZREMRANGEBYRANK', base .. 'quarantine', 0, -1 - tonumber(ARGV[8]))
  call('EXPIRE', base .. 'quarantine', ttl)
end
if moves and tonumber(stored[3] or '0') < tonumber(ARGV[4]) then
  call('HSET', KEYS[1], 'log_id', ARGV[1], 'epoch', ARGV[2], 'seq', ARGV[4], 'updated_at', ARGV[5])
end
return {'ok'}
