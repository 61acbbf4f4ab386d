#!lua flags=allow-oom
-- Takes, extends or gives back the lease on a consumer name. Repeating is harmless: the owner only extends.
-- KEYS lease ; ARGV token, ttl ms (0 = give back) ; reply false, or the token of the other owner
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return owner end
if ARGV[2] ~= '0' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
elseif owner then
  redis.call('DEL', KEYS[1])
end
return false
