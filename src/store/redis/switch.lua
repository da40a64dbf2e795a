-- Shows the cache that was built beside the one that readers see, in one step.
--
-- KEYS  1 checkpoint of the shown one, 2 of the new one, 3 and 4 what their other keys begin with
-- ARGV  1 'forced' where the shown one is not to be compared with, or '', 2 how many peers the new one may have, those
--       peers, then the peers that it has not
-- Returns {'ok'} | {'behind', seq of the shown one} | {'gone'}
local call, shown, new = redis.call, KEYS[3], KEYS[4]
local upto = call('HGET', KEYS[2], 'seq')
if not upto then return {'gone'} end
local at = call('HGET', KEYS[1], 'seq')
if ARGV[1] == '' and at and tonumber(at) > tonumber(upto) then return {'behind', at} end

local function show(name)
  -- first, because what is overwritten is freed here and now
  call('UNLINK', shown .. name)
  if call('EXISTS', new .. name) == 1 then call('RENAME', new .. name, shown .. name) end
end
local kinds, last = {'msg:', 'recent:', 'seen:', 'channel:'}, 2 + tonumber(ARGV[2])
for i = 3, #ARGV do
  for _, kind in ipairs(kinds) do
    if i <= last then show(kind .. ARGV[i]) else call('UNLINK', shown .. kind .. ARGV[i]) end
  end
end
for _, name in ipairs({'channels', 'quarantine'}) do show(name) end
-- not renamed, because the new one expires
local checkpoint = call('HGETALL', KEYS[2])
call('UNLINK', KEYS[1], KEYS[2])
call('HSET', KEYS[1], unpack(checkpoint))
return {'ok'}
