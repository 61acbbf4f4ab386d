#!lua flags=allow-oom
-- Reserves send slots that lie at least one interval apart, whoever asks: so every window holds at most its share.
-- The key holds two times of the server, in seconds and nanoseconds: the next free slot, and until when all hold back.
-- Times are handled as nanoseconds from now: those are exact in a double (2^53 ns are 104 days).
-- KEYS  limiter ; ARGV interval ns, wanted, horizon ns, hold back for ns
-- reply {granted, ns to the first slot, ns until more can be had, now s, now ns}
local T, want, horizon, pause = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local LONGEST_HOLD = 60e9
local t = redis.call('TIME')
local s, ns = tonumber(t[1]), t[2] * 1000
local a, b, c, d = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+):(%d+):(%d+)$')
local function from_now(sec, nano) return math.max(0, (sec - s) * 1e9 + nano - ns) end -- idle time gives no burst
local slot, hold = a and from_now(a, b) or 0, a and from_now(c, d) or 0
local changed = pause > 0
-- Further away than ever granted: the clock went back. The bound must be stored, or it moves along with the clock.
if slot > horizon + T then slot, changed = horizon + T, true end
if hold > LONGEST_HOLD then hold, changed = LONGEST_HOLD, true end
hold = math.max(hold, math.min(pause, LONGEST_HOLD))
local first, n = math.max(slot, hold), 0
if first <= horizon then n = math.min(want, math.floor((horizon - first) / T) + 1) end
local next_slot = first + n * T
if n > 0 then slot = next_slot end
if n > 0 or changed then
  local function at(x) return string.format('%.0f:%.0f', s + math.floor((ns + x) / 1e9), (ns + x) % 1e9) end
  redis.call('SET', KEYS[1], at(slot) .. ':' .. at(hold), 'PX', math.ceil(math.max(slot, hold) / 1e6) + 1000)
end
return {n, first, n < want and next_slot - horizon or 0, s, ns}
