-- Applies one part of a batch and moves the checkpoint, all or nothing as far as other clients can see. Every write
-- is guarded, so after a crash of the server in the middle of it the part is applied again and gives the same.
--
-- KEYS  1 checkpoint, 2 what all other keys begin with (they are in the same slot)
-- ARGV  1 log id, 2 epoch, 3 the number before the first one of this part, or '' for a part that moves no checkpoint,
--       4 seq and 5 time of the new checkpoint, 6 TTL in seconds, 7 window, 8 length of the quarantine,
--       9 TTL of the checkpoint, 0 for ever, 10 its time in milliseconds, then sections:
--   'p' peer, n, m, s, n times: id, message; m times: id, state (both as `text` writes them);
--       s times: score, member of `seen`
--   'c' peer, g, and g times: field, seq field, seq, value
--   'q' seq, text
-- Returns {'ok'} | {'other', log id, epoch} | {'moved', seq}
local call, base, ttl, window = redis.call, KEYS[2], ARGV[6], tonumber(ARGV[7])
local stored = call('HMGET', KEYS[1], 'log_id', 'epoch', 'seq')
local moves = ARGV[3] ~= ''
if moves then
  if stored[1] and (stored[1] ~= ARGV[1] or tonumber(stored[2]) > tonumber(ARGV[2])) then
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
local function slide(messages, recent, seen, from, n, s)
  local list = {}
  for k = 0, n - 1 do
    local id = ARGV[from + 2 * k]
    list[2 * k + 1], list[2 * k + 2] = id, id
  end
  each_thousand(list, function(...) call('ZADD', recent, ...) end)
  if s > 0 then
    list = {}
    for k = 1, 2 * s do list[k] = ARGV[from + 2 * n + k - 1] end
    each_thousand(list, function(...) call('ZADD', seen, ...) end)
  end
  local over, floor = call('ZCARD', recent) - window, -math.huge
  if over > 0 then
    local gone, fields = call('ZPOPMIN', recent, over), {}
    for k = 1, #gone, 2 do fields[k], fields[k + 1] = gone[k], gone[k] .. ':state' end
    each_thousand(fields, function(...) call('HDEL', messages, ...) end)
    local lowest = call('ZRANGE', recent, 0, 0)[1]
    floor = tonumber(lowest)
    call('ZREMRANGEBYSCORE', seen, '-inf', '(' .. lowest)
  end
  return floor
end

-- The higher rank's content, and the lower first_seq with its time
local guards = '^{"rank":(%-?%d+),"first_seq":(%d+),"received_at":"([^"]*)"(.*)$'
local function merged_message(old, new)
  if not old then return new end
  local rank, first, at, content = string.match(old, guards)
  if not rank then return new end
  local new_rank, new_first, new_at, new_content = string.match(new, guards)
  if tonumber(rank) < tonumber(new_rank) then rank, content = new_rank, new_content end
  if tonumber(new_first) < tonumber(first) then first, at = new_first, new_at end
  return '{"rank":' .. rank .. ',"first_seq":' .. first .. ',"received_at":"' .. at .. '"' .. content
end

-- Of each part the one with the higher seq
local parts = {'deleted_at', 'pinned', 'views', 'forwards', 'reactions', 'poll'}
local function merged_state(old, new)
  if not old then return new end
  local seqs, lines = {}, {}
  for _, text in ipairs({old, new}) do
    for line, name, seq in string.gmatch(text, '((%S+) (%d+) [^\n]*\n)') do
      seq = tonumber(seq)
      if not seqs[name] or seqs[name] < seq then seqs[name], lines[name] = seq, line end
    end
  end
  local list = {}
  for _, name in ipairs(parts) do list[#list + 1] = lines[name] end
  return table.concat(list)
end

-- Merges what is inside the window: n messages, then m states
local function merge(messages, from, n, m, floor)
  local fields, values, inside = {}, {}, 0
  for k = 0, n + m - 1 do
    local id = ARGV[from + 2 * k]
    if tonumber(id) >= floor then
      local at = #fields + 1
      fields[at], values[at] = k < n and id or id .. ':state', ARGV[from + 2 * k + 1]
      if k < n then inside = at end
    end
  end
  local old, at, set = {}, 0, {}
  each_thousand(fields, function(...)
    for k, value in ipairs(call('HMGET', messages, ...)) do old[at + k] = value end
    at = #old
  end)
  for k, field in ipairs(fields) do
    local merger = k <= inside and merged_message or merged_state
    local value = merger(old[k], values[k])
    if value ~= old[k] then
      local size = #set
      set[size + 1], set[size + 2] = field, value
    end
  end
  each_thousand(set, function(...) call('HSET', messages, ...) end)
end

local i, peers, poison = 11, false, false
while i <= #ARGV do
  local section, name = ARGV[i], ARGV[i + 1]
  if section == 'p' then
    peers = true
    local n, m, s = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    local messages, recent, seen = base .. 'msg:' .. name, base .. 'recent:' .. name, base .. 'seen:' .. name
    merge(messages, i + 5, n, m, slide(messages, recent, seen, i + 5, n + m, s))
    for _, key in ipairs({messages, recent, seen, base .. 'channel:' .. name}) do call('EXPIRE', key, ttl) end
    i = i + 5 + 2 * (n + m + s)
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
if moves
  and (tonumber(stored[2] or '0') < tonumber(ARGV[2]) or tonumber(stored[3] or '0') < tonumber(ARGV[4])) then
  call('HSET', KEYS[1], 'log_id', ARGV[1], 'epoch', ARGV[2], 'seq', ARGV[4], 'updated_at', ARGV[5],
    'checked_at', ARGV[10])
  if ARGV[9] ~= '0' then call('EXPIRE', KEYS[1], ARGV[9]) end
end
return {'ok'}
