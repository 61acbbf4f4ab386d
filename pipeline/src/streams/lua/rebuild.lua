#!lua
-- Replaces a partition by what MySQL says, if its last id has not moved. It always moves the last id, entries or not:
-- an older snapshot that was read before must not pass for a newer one afterwards.
-- No allow-oom: the server refuses it under memory pressure before the first write.
-- KEYS  targets counts
-- ARGV  group, expected last id, first part of the new ids ('' = that of the last id), completed_at ('' = leave it),
--       published, success, fail, retry_success, then records
-- reply {'OK'} | {'MISSING'} | {'LAST', last id}
local call = redis.call
local s, h, g = KEYS[1], KEYS[2], ARGV[1]
local ts, th = call('TYPE', s).ok, call('TYPE', h).ok
if (ts ~= 'none' and ts ~= 'stream') or (th ~= 'none' and th ~= 'hash') then
  return redis.error_reply('WRONGTYPE a key of the partition holds another type')
end
if ts == 'none' then return {'MISSING'} end
local last
local info = call('XINFO', 'STREAM', s)
for k = 1, #info, 2 do if info[k] == 'last-generated-id' then last = info[k + 1] end end
if last ~= ARGV[2] then return {'LAST', last} end
local first, second = string.match(last, '^(%d+)-(%d+)$')
if #second > 16 or tonumber(second) > 9e15 then
  return redis.error_reply('BADID the second part of the last id is not a time')
end
if ARGV[3] ~= '' then first = ARGV[3] end
-- Microseconds, or behind the last one: an id is never used twice, even when the clock goes back (by more than the time
-- between two rebuilds that go back to the same target, it would: an old holder could then settle the new entry).
local t = call('TIME')
local id = math.max(t[1] * 1000000 + t[2], tonumber(second) + 1)
call('UNLINK', s)
call('XGROUP', 'CREATE', s, g, '0', 'MKSTREAM') -- in the same step: blocked readers do not notice
for k = 9, #ARGV do
  call('XADD', s, string.format('%s-%.0f', first, id), 'd', ARGV[k])
  id = id + 1
end
if #ARGV < 9 and last ~= '0-0' then
  last = string.format('%s-%.0f', first, id)
  call('XSETID', s, last)
  call('XGROUP', 'SETID', s, g, last) -- nothing to deliver: Redis 7.0 would wake a blocked reader with nothing
end
call('HSET', h, 'published_count', ARGV[5], 'success_count', ARGV[6], 'fail_count', ARGV[7],
  'retry_success_count', ARGV[8])
if ARGV[4] ~= '' then call('HSET', h, 'last_completed_at', ARGV[4]) end
return {'OK'}
