-- Gives the cache the checkpoint of a filling, if all of it is there.
--
-- KEYS  1 checkpoint, 2 that of the filling
-- ARGV  1 how many numbers the filling has, 2 log id, 3 epoch, 4 seq and 5 time of the checkpoint,
--       6 TTL of the checkpoint, 0 for ever
-- Returns how many it has
local call = redis.call
local covered = call('HGET', KEYS[2], 'seq')
if covered ~= ARGV[1] then return tonumber(covered or '0') end
local stored = call('HMGET', KEYS[1], 'epoch', 'seq')
if tonumber(stored[1] or '0') < tonumber(ARGV[3]) or tonumber(stored[2] or '0') < tonumber(ARGV[4]) then
  call('HSET', KEYS[1], 'log_id', ARGV[2], 'epoch', ARGV[3], 'seq', ARGV[4], 'updated_at', ARGV[5])
  if ARGV[6] ~= '0' then call('EXPIRE', KEYS[1], ARGV[6]) end
end
call('UNLINK', KEYS[2])
return tonumber(covered)
