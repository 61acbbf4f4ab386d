#!lua flags=allow-oom
-- Moves entries that a consumer still owns to another consumer, with an idle time and a delivery count.
-- Repeating is harmless: the second time the caller does not own them any more.
-- KEYS targets ; ARGV group, owner, new owner, then id, delivery count ('' = as it is), idle ms ...
-- reply number moved
local call = redis.call
local s, g, me, to = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local ts = call('TYPE', s).ok
if ts == 'none' then return 0 end
if ts ~= 'stream' then return redis.error_reply('WRONGTYPE a key of the partition holds another type') end
local summary = redis.pcall('XPENDING', s, g)
if summary.err then -- without a group nothing is owned
  if string.find(summary.err, 'NOGROUP', 1, true) then return 0 end
  return summary
end
local n = 0
for k = 4, #ARGV, 3 do
  local id, deliveries = ARGV[k], ARGV[k + 1]
  -- A late waker must not take an entry back from whoever has it now.
  if #call('XPENDING', s, g, id, id, 1, me) == 1 then
    local moved
    if deliveries == '' then
      moved = call('XCLAIM', s, g, to, 0, id, 'IDLE', ARGV[k + 2], 'JUSTID')
    else
      moved = call('XCLAIM', s, g, to, 0, id, 'IDLE', ARGV[k + 2], 'RETRYCOUNT', deliveries, 'JUSTID')
    end
    n = n + #moved
  end
end
return n
