#!lua flags=allow-oom
-- Removes a consumer that holds nothing. Removing one with pending entries would lose them, so both in one step.
-- KEYS targets ; ARGV group, consumer, least idle ms ; reply 1 removed | 0 kept
local call = redis.call
if call('TYPE', KEYS[1]).ok ~= 'stream' then return 0 end
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end
for _, x in ipairs(consumers) do
  local v = {}
  for k = 1, #x, 2 do v[x[k]] = x[k + 1] end
  if v['name'] == ARGV[2] then
    if v['pending'] > 0 or v['idle'] < tonumber(ARGV[3]) then return 0 end
    call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
    return 1
  end
end
return 0
