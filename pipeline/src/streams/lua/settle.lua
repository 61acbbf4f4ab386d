#!lua flags=allow-oom
-- Acknowledges, deletes and counts, in one step. Repeating is harmless: only what XACK newly acknowledged counts.
-- allow-oom: it only releases, and a full Redis could not drain without it.
-- KEYS  targets counts dead
-- ARGV  group, completed_at, longest dead stream, d, then d times counter, id, dead letter,
--       then per outcome: counter ('' = not counted), n, id * n      (at most 4,000 ids in all: Lua's unpack)
-- reply number of newly acknowledged entries
local call = redis.call
local s, h, dead, g, at = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
local ts, th, td = call('TYPE', s).ok, call('TYPE', h).ok, call('TYPE', dead).ok
if ts == 'none' then return 0 end
if ts ~= 'stream' or (th ~= 'none' and th ~= 'hash') or (td ~= 'none' and td ~= 'stream') then
  return redis.error_reply('WRONGTYPE a key of the partition holds another type')
end
local before = call('HMGET', h, 'success_count', 'fail_count', 'retry_success_count', 'dead_dropped_count',
  'last_completed_at')
for i = 1, 4 do
  local c = before[i]
  if c and not (#c <= 15 and string.match(c, '^%d+$')) then
    return redis.error_reply('BADCOUNT a counter of the partition is not a count')
  end
end

local function not_after(a, b) -- id a <= id b; compared as text: ids may exceed 2^53
  local a1, a2 = string.match(a, '^(%d+)-(%d+)$')
  local b1, b2 = string.match(b, '^(%d+)-(%d+)$')
  if a1 ~= b1 then return #a1 < #b1 or (#a1 == #b1 and a1 < b1) end
  return #a2 < #b2 or (#a2 == #b2 and a2 <= b2)
end

local count, n, k = {}, 0, 5
local function add(counter, got)
  n = n + got
  if counter ~= '' then count[counter] = (count[counter] or 0) + got end
end

-- Entries with a dead letter go one by one: a letter is written for a newly acknowledged entry only.
local gone, letters = {}, {}
for _ = 1, tonumber(ARGV[4]) do
  if call('XACK', s, g, ARGV[k + 1]) == 1 then
    gone[#gone + 1], letters[#letters + 1] = ARGV[k + 1], ARGV[k + 2]
    add(ARGV[k], 1)
  end
  k = k + 3
end
if #gone > 0 then
  call('XDEL', s, unpack(gone))
  local length = td == 'stream' and call('XLEN', dead) or 0
  for i = 1, #letters do call('XADD', dead, 'MAXLEN', '~', ARGV[3], '*', 'd', letters[i]) end
  call('PERSIST', dead) -- a requeued promotion writes on into a stream that was left to expire
  local dropped = length + #letters - call('XLEN', dead)
  if dropped > 0 then count['dead_dropped_count'] = dropped end
end

local delivered
while k <= #ARGV do
  local counter, m, from = ARGV[k], tonumber(ARGV[k + 1]), k + 2
  local got = call('XACK', s, g, unpack(ARGV, from, from + m - 1))
  if got == m then
    call('XDEL', s, unpack(ARGV, from, from + m - 1))
  elseif got > 0 then
    -- Some were not pending. One of those may have been published again and not be delivered yet: it must stay.
    if not delivered then
      for _, x in ipairs(call('XINFO', 'GROUPS', s)) do
        local name, id
        for j = 1, #x, 2 do
          if x[j] == 'name' then name = x[j + 1] elseif x[j] == 'last-delivered-id' then id = x[j + 1] end
        end
        if name == g then delivered = id end
      end
    end
    local old = {}
    for j = from, from + m - 1 do
      if not_after(ARGV[j], delivered) then old[#old + 1] = ARGV[j] end
    end
    if #old > 0 then call('XDEL', s, unpack(old)) end
  end
  add(counter, got)
  k = from + m
end

-- Counters last.
local settled = 0
for counter, v in pairs(count) do
  if v > 0 then
    call('HINCRBY', h, counter, v)
    if counter ~= 'dead_dropped_count' then settled = settled + v end
  end
end
if settled > 0 and at ~= '' and (not before[5] or before[5] < at) then call('HSET', h, 'last_completed_at', at) end
return n
