#!lua
-- Appends a batch to a partition, if the last id is the one that the dispatcher believes in.
-- Repeating is harmless: the second time the last id differs, and nothing is written.
-- No allow-oom: the server refuses it under memory pressure before the first write.
-- KEYS  targets counts
-- ARGV  group, consumer of held entries, expected first part of the last id, window (0 = none),
--       then id, record, id, record ...   (none: only makes the stream and its group)
-- reply {'OK'} | {'LAST', last id, length} | {'FULL', outstanding}
local call = redis.call
local s, h, g = KEYS[1], KEYS[2], ARGV[1]
local ts, th = call('TYPE', s).ok, call('TYPE', h).ok
if (ts ~= 'none' and ts ~= 'stream') or (th ~= 'none' and th ~= 'hash') then
  return redis.error_reply('WRONGTYPE a key of the partition holds another type')
end
if th == 'hash' then
  local c = call('HGET', h, 'published_count')
  if c and not (#c <= 15 and string.match(c, '^%d+$')) then
    return redis.error_reply('BADCOUNT published_count is not a count')
  end
end
local last, len, group = '0-0', 0, false
if ts == 'stream' then
  local info = call('XINFO', 'STREAM', s)
  for k = 1, #info, 2 do
    if info[k] == 'last-generated-id' then last = info[k + 1] elseif info[k] == 'length' then len = info[k + 1] end
  end
  for _, x in ipairs(call('XINFO', 'GROUPS', s)) do
    for k = 1, #x, 2 do if x[k] == 'name' and x[k + 1] == g then group = true end end
  end
end
-- Compared as text: ids may exceed 2^53.
if string.match(last, '^%d+') ~= ARGV[3] then return {'LAST', last, len} end
local n, window = (#ARGV - 4) / 2, tonumber(ARGV[4])
if window > 0 and n > 0 and len + n > window then
  local held = 0
  if group then
    for _, x in ipairs(call('XINFO', 'CONSUMERS', s, g)) do
      local name, pending
      for k = 1, #x, 2 do
        if x[k] == 'name' then name = x[k + 1] elseif x[k] == 'pending' then pending = x[k + 1] end
      end
      if name == ARGV[2] then held = pending end
    end
  end
  local outstanding = math.max(0, len - held)
  if outstanding + n > window then return {'FULL', outstanding} end
end
-- A stream that is gone is filled from the beginning, and everything final on it is settled again: counted anew.
if ts == 'none' and th == 'hash' then call('DEL', h) end
if not group then call('XGROUP', 'CREATE', s, g, '0', 'MKSTREAM') end
for k = 5, #ARGV, 2 do call('XADD', s, ARGV[k], 'd', ARGV[k + 1]) end
if n > 0 then call('HINCRBY', h, 'published_count', n) end
return {'OK'}
