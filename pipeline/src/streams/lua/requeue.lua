#!lua
-- Adds entries for targets that were counted as failed and are tried again, if the last id is still the expected one:
-- nobody has published, rebuilt or requeued since it was read.
-- Repeating is harmless: the second time the last id differs, and nothing is written.
-- No allow-oom: the server refuses it under memory pressure before the first write.
-- KEYS  targets counts
-- ARGV  group, expected last id, then records
-- reply {'OK'} | {'MISSING'} | {'LAST', last id} | {'DIFFERS'} (no group, or fewer failures than records)
local call = redis.call
local s, h, g = KEYS[1], KEYS[2], ARGV[1]
local ts, th = call('TYPE', s).ok, call('TYPE', h).ok
if (ts ~= 'none' and ts ~= 'stream') or (th ~= 'none' and th ~= 'hash') then
  return redis.error_reply('WRONGTYPE a key of the partition holds another type')
end
if ts == 'none' then return {'MISSING'} end
local last, groups
local info = call('XINFO', 'STREAM', s)
for k = 1, #info, 2 do
  if info[k] == 'last-generated-id' then last = info[k + 1] elseif info[k] == 'groups' then groups = info[k + 1] end
end
if last ~= ARGV[2] then return {'LAST', last} end
local n = #ARGV - 2
local failed = tonumber(call('HGET', h, 'fail_count') or 0)
if groups == 0 or not failed or failed < n then return {'DIFFERS'} end
local first, second = string.match(last, '^(%d+)-(%d+)$')
if #second > 16 or tonumber(second) > 9e15 then
  return redis.error_reply('BADID the second part of the last id is not a time')
end
-- Microseconds, or behind the last one: an id is never used twice, even when the clock goes back.
local t = call('TIME')
local id = math.max(t[1] * 1000000 + t[2], tonumber(second) + 1)
for k = 3, #ARGV do
  call('XADD', s, string.format('%s-%.0f', first, id), 'd', ARGV[k])
  id = id + 1
end
call('HINCRBY', h, 'fail_count', -n)
return {'OK'}
