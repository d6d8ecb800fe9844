-- One exchange with a budget; see `Said` and `Heard` of budget.py. Times are the server's own.
local LEASE, GRACE, AT_WORK, CATCH_UP, REMEMBERED = 5, 0.05, 10, 0.02, 5
local LONGEST_PAUSE, LIFETIME = 3600, 7200
local said, me = cjson.decode(ARGV[1]), ARGV[2]
local time = redis.call('TIME')
local stored = redis.call('GET', KEYS[1])
local state = stored and cjson.decode(stored)
local base = state and state.base or tonumber(time[1])
local now = tonumber(time[1]) - base + time[2] / 1e6

if not state or now < 0 or state.next_at > now + LONGEST_PAUSE then
  -- New, or its memory is lost: nobody knows the second before. Ids never come back.
  base = tonumber(time[1])
  now = time[2] / 1e6
  state = { base = base, next_at = 0, places = {}, owners = {}, turns = 0 }
  state.last = base % 1000000 * 1000000 + time[2]
  state.paused_until = now + math.max(1, 1 / said.rate) + said.margin
end
local places, owners = state.places, state.owners

if said.leave then
  owners[me] = nil
  redis.call('SET', KEYS[1], cjson.encode(state), 'EX', LIFETIME)
  return '{}'
end

-- What it tells.
for _, sent in ipairs(said.sent) do
  local id = string.format('%.0f', sent[1])
  places[id] = { now - sent[2], me, places[id] and places[id][3] or now }
end
for _, id in ipairs(said.unused) do places[string.format('%.0f', id)] = nil end
for _, id in ipairs(said.held) do
  local held = places[string.format('%.0f', id)]
  places[string.format('%.0f', id)] = { now + LEASE, me, held and held[3] or now }
end
if said.pause > 0 then
  state.paused_until = math.max(state.paused_until, now + math.min(said.pause, LONGEST_PAUSE))
end
local owner = owners[me] or { began = now }
owners[me] = owner
owner.rate = not said.vague and said.rate or nil
owner.till = now + math.max(AT_WORK, 2 / said.rate)

-- The least rate of all at work; a turn that nobody came for is over.
local rate
for name, one in pairs(owners) do
  if one.till < now then
    owners[name] = nil
  else
    if one.rate then rate = math.min(rate or one.rate, one.rate) end
    if name ~= me and one.promised and one.promised < now - GRACE then one.turn = nil end
  end
end
rate = rate or said.rate
local window = math.max(1, 1 / rate) + said.margin

local used, shared = {}, false
for id, place in pairs(places) do
  if place[1] <= now - math.max(window, REMEMBERED) or place[1] > now + 2 * LEASE then
    places[id] = nil
  else
    if place[1] > now - window then used[#used + 1] = place[1] end
    shared = shared or (place[2] ~= me and place[3] > owner.began)
  end
end

local given, wait = {}, 0
if said.want > 0 then
  if not owner.turn then
    state.turns = state.turns + 1
    owner.turn = state.turns
  end
  local ahead = 0
  for _, one in pairs(owners) do
    if one.turn and one.turn < owner.turn then ahead = ahead + 1 end
  end
  local free = math.max(1, math.floor(rate)) - #used - ahead
  local at = math.max(state.paused_until, state.next_at + ahead / rate)
  if free <= 0 then
    table.sort(used)
    at = math.max(at, math.min(used[1 - free] or now, now) + window)
  end
  if at <= now and said.enter then
    local count = math.min(said.want, free)
    state.next_at = math.max(state.next_at, now - CATCH_UP) + count / rate
    for _ = 1, count do
      state.last = state.last + 1
      given[#given + 1] = state.last
      places[string.format('%.0f', state.last)] = { now + LEASE, me, now }
    end
    owner.turn, owner.promised = nil, nil
  else
    owner.promised = at
    wait = math.max(0, at - now)
  end
end

redis.call('SET', KEYS[1], cjson.encode(state), 'EX', LIFETIME)
local heard = { wait = wait, used = #used + #given, shared = shared }
if #given > 0 then heard.places = given end
return cjson.encode(heard)
