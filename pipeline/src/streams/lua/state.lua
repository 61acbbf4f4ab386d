#!lua flags=no-writes
-- Where a partition stands, read in one instant.
-- KEYS  targets counts dead ; ARGV group, and how many undelivered entries to count at most (0 = do not count)
-- reply {counts, dead letters, stream or false} where
--   counts = published, success, fail, retry_success, last_completed_at, dead dropped ('' = no field)
--   stream = last id, length, whether the group exists, last delivered id or '', pending, oldest pending id or '',
--            oldest undelivered id or '', undelivered (-1 = not counted), {consumer, pending, ...}
local call = redis.call
local s, h, dead, g, limit = KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2])
local ts, th, td = call('TYPE', s).ok, call('TYPE', h).ok, call('TYPE', dead).ok
if (ts ~= 'none' and ts ~= 'stream') or (th ~= 'none' and th ~= 'hash') or (td ~= 'none' and td ~= 'stream') then
  return redis.error_reply('WRONGTYPE a key of the partition holds another type')
end
local counts = call('HMGET', h, 'published_count', 'success_count', 'fail_count', 'retry_success_count',
  'last_completed_at', 'dead_dropped_count')
for i = 1, 6 do counts[i] = counts[i] or '' end
local letters = td == 'stream' and call('XLEN', dead) or 0
if ts == 'none' then return {counts, letters, false} end

local last, len
local info = call('XINFO', 'STREAM', s)
for k = 1, #info, 2 do
  if info[k] == 'last-generated-id' then last = info[k + 1] elseif info[k] == 'length' then len = info[k + 1] end
end
local delivered
for _, x in ipairs(call('XINFO', 'GROUPS', s)) do
  local name, id
  for k = 1, #x, 2 do
    if x[k] == 'name' then name = x[k + 1] elseif x[k] == 'last-delivered-id' then id = x[k + 1] end
  end
  if name == g then delivered = id end
end
local pending, oldest, consumers = 0, '', {}
if delivered then
  local p = call('XPENDING', s, g)
  pending, oldest = p[1], p[2] or ''
  for _, c in ipairs(p[4] or {}) do
    consumers[#consumers + 1] = c[1]
    consumers[#consumers + 1] = c[2]
  end
end
local from = '(' .. (delivered or '0-0')
local next_up, undelivered = call('XRANGE', s, from, '+', 'COUNT', 1), -1
if #next_up == 0 then
  undelivered = 0
elseif limit > 0 then
  undelivered = 0
  repeat
    local page = call('XRANGE', s, from, '+', 'COUNT', 500)
    undelivered = undelivered + #page
    if #page > 0 then from = '(' .. page[#page][1] end
  until #page < 500 or undelivered >= limit
  if undelivered >= limit then undelivered = -1 end
end
return {counts, letters,
  {last, len, delivered and 1 or 0, delivered or '', pending, oldest, next_up[1] and next_up[1][1] or '',
    undelivered, consumers}}
