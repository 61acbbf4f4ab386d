#!lua flags=allow-oom
-- The circuit breaker that all replicas share. Times are milliseconds of the server.
-- KEYS  breaker
-- ARGV  'state' | 'probe', me, lease ms
--       | 'report', me, successes, failures, window ms, least failures, percent, open ms, longest open ms
-- reply {state, ms it stays open, whether the probe was granted}
local call, key, op, me = redis.call, KEYS[1], ARGV[1], ARGV[2]
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local fields = {'open_until', 'open_ms', 'openings', 'closed_at', 'probe_until', 'probe_ms', 'bucket', 'ok', 'bad',
  'ok_before', 'bad_before'}
local values, v = call('HMGET', key, 'probe', unpack(fields)), {}
local probe = values[1] or ''
for i = 1, #fields do v[fields[i]] = tonumber(values[i + 1] or 0) or 0 end
-- Further away than ever set: the clock went back. Never stall longer than once, so the bound is stored.
if v.open_until > now + v.open_ms then
  v.open_until = now + v.open_ms
  call('HSET', key, 'open_until', v.open_until)
end
if v.probe_until > now + v.probe_ms then
  v.probe_until = now + v.probe_ms
  call('HSET', key, 'probe_until', v.probe_until)
end
local state = 'closed'
if v.open_until > 0 then state = now < v.open_until and 'open' or 'half' end

if op == 'probe' then
  if state ~= 'half' or (probe ~= '' and now < v.probe_until) then return {state, v.open_until - now, 0} end
  local lease = tonumber(ARGV[3])
  call('HSET', key, 'probe', me, 'probe_until', now + lease, 'probe_ms', lease)
  return {state, 0, 1}
end

if op == 'report' then
  local good, bad, window = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local least, percent, base, cap = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
  local function open(openings)
    v.open_ms = math.min(cap, base * 2 ^ math.min(openings, 30))
    v.open_until, state = now + v.open_ms, 'open'
    call('DEL', key)
    call('HSET', key, 'open_until', v.open_until, 'open_ms', v.open_ms, 'openings', openings + 1)
  end
  if state == 'half' and probe == me then -- only the probe tells: other reports are of calls from before
    if bad > 0 then
      open(v.openings)
    elseif good > 0 then
      state = 'closed'
      call('DEL', key)
      call('HSET', key, 'openings', v.openings, 'closed_at', now)
    end
  elseif state == 'closed' then
    local bucket = math.floor(now / math.max(1, window / 2)) -- two half windows roll
    if bucket ~= v.bucket then
      local follows = bucket == v.bucket + 1
      v.ok_before, v.bad_before = follows and v.ok or 0, follows and v.bad or 0
      v.ok, v.bad = 0, 0
    end
    v.ok, v.bad = v.ok + good, v.bad + bad
    local all_bad = v.bad + v.bad_before
    if all_bad >= least and all_bad > 0 and all_bad * 100 >= percent * (all_bad + v.ok + v.ok_before) then
      -- Opening again soon after closing doubles the time; a calm of the longest time forgets that.
      open((now - v.closed_at <= cap) and v.openings or 0)
    else
      call('HSET', key, 'bucket', bucket, 'ok', v.ok, 'bad', v.bad, 'ok_before', v.ok_before,
        'bad_before', v.bad_before)
    end
  end
  call('PEXPIRE', key, string.format('%.0f', v.open_ms + 2 * (cap + window) + 3600000))
end
return {state, math.max(0, v.open_until - now), 0}
