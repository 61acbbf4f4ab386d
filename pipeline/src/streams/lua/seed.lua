#!lua
-- Makes the empty stream of a partition whose targets were all published before. Repeating is harmless: it is there.
-- KEYS  targets counts ; ARGV group, last id, published, success, fail, retry_success
-- reply 1 made | 0 it was there
local call = redis.call
local s, h = KEYS[1], KEYS[2]
local ts, th = call('TYPE', s).ok, call('TYPE', h).ok
if (ts ~= 'none' and ts ~= 'stream') or (th ~= 'none' and th ~= 'hash') then
  return redis.error_reply('WRONGTYPE a key of the partition holds another type')
end
if ts == 'stream' then return 0 end
call('XGROUP', 'CREATE', s, ARGV[1], '0', 'MKSTREAM')
if ARGV[2] ~= '0-0' then
  call('XSETID', s, ARGV[2])
  call('XGROUP', 'SETID', s, ARGV[1], ARGV[2])
end
call('HSET', h, 'published_count', ARGV[3], 'success_count', ARGV[4], 'fail_count', ARGV[5],
  'retry_success_count', ARGV[6])
return 1
