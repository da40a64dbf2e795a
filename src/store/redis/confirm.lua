-- Reads the checkpoint, and says in it that there was nothing more at this moment, if it is as far as the log.
--
-- KEYS  1 checkpoint
-- ARGV  1 how far the log is, then the fields to read
-- Returns the fields
local call = redis.call
local fields = call('HMGET', KEYS[1], unpack(ARGV, 2))
local seq = call('HGET', KEYS[1], 'seq')
if seq and tonumber(seq) >= tonumber(ARGV[1]) then
  local now = call('TIME')
  call('HSET', KEYS[1], 'checked_at', now[1] .. string.format('%03d', math.floor(now[2] / 1000)))
end
return fields
