#!lua flags=allow-oom
-- Removes the keys of an ended partition. Repeating is harmless, and ends: what was left to expire is not touched again.
-- The dead letters stay for a while: subscribers must have time to read them.
-- KEYS  targets counts dead ; ARGV time that the dead letters stay, in ms
-- reply number of keys that were removed or left to expire
local call = redis.call
local dead, ttl = KEYS[3], tonumber(ARGV[1])
local n = call('UNLINK', KEYS[1], KEYS[2])
local td = call('TYPE', dead).ok
if td == 'stream' and ttl > 0 and call('XLEN', dead) > 0 then
  if call('PTTL', dead) == -1 then n = n + call('PEXPIRE', dead, ttl) end
elseif td ~= 'none' then
  n = n + call('UNLINK', dead)
end
return n
