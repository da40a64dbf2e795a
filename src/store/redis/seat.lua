-- Takes the seat if it is free, renews it for its holder, or gives it up.
--
-- KEYS  1 the seat
-- ARGV  1 who asks, 2 how long it lasts in seconds, 0 to give it up
-- Returns 1 when it is held by who asks, or was given up
local call = redis.call
local holder = call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  call('UNLINK', KEYS[1])
else
  call('HSET', KEYS[1], 'holder', ARGV[1])
  call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
