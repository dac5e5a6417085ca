/**
 * The scripts that run inside Redis. A script takes one bucket's two keys, all declared, and is atomic: a change and
 * its feed entry appear together. It is sent by its digest, and in full to a server that does not know it (a new
 * master, a restart, SCRIPT FLUSH).
 *
 * In the scripts: `above` compares bytes, because Lua's own `>` on texts follows the server's locale; `newer` compares
 * decimal numbers of any size by length, then text.
 */
import { createHash } from 'node:crypto';
import type { Call } from './call.ts';

const NOSCRIPT = /^NOSCRIPT /;

export interface Script {
  readonly text: string;
  readonly digest: string;
  /** Whether a second run answers as the first did; a compare-and-set does not. */
  readonly isRepeatable: boolean;
}

function script(text: string, isRepeatable = true): Script {
  return { text, digest: createHash('sha1').update(text).digest('hex'), isRepeatable };
}

/** Runs it on the server that holds the keys, which share a hash tag. */
export async function run(
  call: Call,
  { text, digest, isRepeatable }: Script,
  keys: readonly string[],
  values: readonly string[],
): Promise<unknown> {
  const operands = [`${keys.length}`, ...keys, ...values];
  const send = (...command: readonly string[]) => call.send(keys[0] as string, command, isRepeatable);
  try {
    return await send('EVALSHA', digest, ...operands);
  } catch (error) {
    if (!(error instanceof Error) || !NOSCRIPT.test(error.message)) throw error;
    return send('EVAL', text, ...operands);
  }
}

const COMPARE = `
local function above(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
local function newer(a, b)
  if #a ~= #b then return #a > #b end
  return above(a, b)
end
local function larger(a, b)
  local x, y = a:byte() == 45, b:byte() == 45
  if x ~= y then return y end
  if x then return newer(b:sub(2), a:sub(2)) end
  return newer(a, b)
end
`;

/**
 * `merge_slots` keeps the newer of each slot, and of one version the larger net. Damaged text stays and is marked, so
 * that the counter is refused until the slot that it was part of is sent again.
 */
const SLOTS = `
local SLOT = ('%x'):rep(32) .. ' %d+ %-?%d+;'
local function mend(before, after)
  local whole, damaged = {}, {}
  for at, piece, to in (before .. ';'):gmatch('()([^;]*);()') do
    if to <= #before + 1 and (piece .. ';'):find('^' .. SLOT .. '$') then
      whole[#whole + 1] = piece .. ';'
    else
      piece = piece:gsub('^%?', '')
      local is_back = piece == ''
      for replica in after:gmatch('(%x+) %d+ %-?%d+;') do
        if replica:sub(1, #piece) == piece:sub(1, #replica) then is_back = true end
      end
      if not is_back then damaged[#damaged + 1] = '?' .. piece .. ';' end
    end
  end
  return table.concat(damaged) .. table.concat(whole)
end
local function merge_slots(before, after)
  if before:gsub(SLOT, '') ~= '' then before = mend(before, after) end
  for entry, replica, version, net in after:gmatch('((%x+) (%d+) (%-?%d+);)') do
    local from, to, known, was = before:find(replica .. ' (%d+) (%-?%d+);')
    if not from then
      before = before .. entry
    elseif newer(version, known) or (version == known and larger(net, was)) then
      before = before:sub(1, from - 1) .. entry .. before:sub(to + 1)
    end
  end
  return before
end
`;

/** `given_back` returns the slots that the losing cut had folded in a newer state than the winner. */
const CUTS = `
local function folded_of(cut)
  local is_whole, content = pcall(cjson.decode, cut:match('{.*$') or '')
  return is_whole and type(content) == 'table' and type(content.folded) == 'table' and content.folded or nil
end
local function given_back(loser, winner)
  local back = {}
  for replica, slot in pairs(loser) do
    local version = type(slot) == 'string' and slot:match('^(%d+) %-?%d+$')
    local known = type(winner[replica]) == 'string' and winner[replica]:match('^%d+') or '0'
    if version and newer(version, known) then back[#back + 1] = replica .. ' ' .. slot .. ';' end
  end
  return table.concat(back)
end
local function newer_cut(before, after)
  local v, a = before:match('^(%d+) (%x*) ')
  local w, b = after:match('^(%d+) (%x*) ')
  if not v then return true end
  if v ~= w then return newer(w, v) end
  if a ~= b then return above(b, a) end
  return not folded_of(before)
end
local function merge_cut(before, after)
  if not before then return after, '' end
  if before == after then return before, '' end
  local is_newer = newer_cut(before, after)
  local known, given = folded_of(before), folded_of(after)
  if is_newer then return after, given_back(known or {}, given) end
  return before, known and given_back(given, known) or ''
end
`;

/** The prefix of a script's error if it finds another bucket or store than expected. */
export const UNKNOWN = 'TALLYD unknown';
const REFUSE = `redis.error_reply('${UNKNOWN}')`;

/** `open` returns the version of a bucket if ARGV[1] is its epoch, `save` writes both. */
const BUCKET = `
local state, feed = KEYS[1], KEYS[2]
local function save(version)
  redis.call('HSET', state, 'b', ARGV[1] .. ':' .. string.format('%.0f', version))
end
local function open(position)
  local epoch, version = (position or ''):match('^(%x+):(%d+)$')
  return epoch == ARGV[1] and tonumber(version) or nil
end
`;

/** The store's id, format and number of buckets, as set by the first node. */
export const MEET = script(`
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
redis.call('HSETNX', KEYS[1], 'format', ARGV[2])
redis.call('HSETNX', KEYS[1], 'buckets', ARGV[3])
return redis.call('HMGET', KEYS[1], 'id', 'format', 'buckets')
`);

/** The bucket's position; creates the bucket with the epoch ARGV[1] if necessary. */
export const OPEN = script(`
local state, feed = KEYS[1], KEYS[2]
if redis.call('HSETNX', state, 'b', ARGV[1] .. ':0') == 1 then redis.call('ZADD', feed, 0, '') end
return redis.call('HGET', state, 'b')
`);

/** Gives the bucket, which went back to the position ARGV[2], the epoch ARGV[1], so that all nodes notice. */
export const RENAME = script(`${BUCKET}
if redis.call('HGET', state, 'b') == ARGV[2] then save(ARGV[2]:match('%d+$')) end
return 1
`);

/**
 * Keeps the newer: ARGV[1] is the bucket's epoch, ARGV[2..] are pairs of a field, "s" or "c" and the name, and slots or
 * a cut.
 */
export const MERGE = script(`${COMPARE}${SLOTS}${CUTS}${BUCKET}
local fields = { 'b' }
for i = 2, #ARGV, 2 do fields[#fields + 1] = ARGV[i] end
local stored = redis.call('HMGET', state, unpack(fields))
local version = open(stored[1])
if not version then return ${REFUSE} end
local now, changed = {}, {}
for i = 2, #fields do now[fields[i]] = stored[i] end
local function get(field)
  if now[field] == nil then now[field] = redis.call('HGET', state, field) end
  return now[field]
end
local function set(field, text)
  if text == get(field) then return end
  now[field] = text
  changed[#changed + 1] = field
end
for i = 2, #fields do
  local field, given, name = fields[i], ARGV[2 * i - 1], fields[i]:sub(2)
  local slots = given
  if field:byte() ~= 115 then
    local cut
    cut, slots = merge_cut(get(field), given)
    set(field, cut)
  end
  if slots ~= '' then set('s' .. name, merge_slots(get('s' .. name) or '', slots)) end
end
local writes, told = {}, {}
for _, field in ipairs(changed) do
  version = version + 1
  writes[#writes + 1] = field
  writes[#writes + 1] = now[field]
  told[#told + 1] = string.format('%.0f', version)
  told[#told + 1] = field:sub(2)
end
if #writes > 0 then
  save(version)
  redis.call('HSET', state, unpack(writes))
  redis.call('ZADD', feed, unpack(told))
end
`);

/**
 * Compare-and-set: ARGV[1] is the bucket's epoch, ARGV[2..] are triples of a field, the version that must be there, and
 * the cut.
 */
export const CUT = script(
  `${COMPARE}${SLOTS}${CUTS}${BUCKET}
local version = open(redis.call('HGET', state, 'b'))
if not version then return ${REFUSE} end
local made = {}
for i = 2, #ARGV, 3 do
  local field, expected, cut = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local before = redis.call('HGET', state, field)
  local known = before and before:match('^%d+') or '0'
  if known == expected then
    version = version + 1
    redis.call('HSET', state, field, cut)
    local back = before and given_back(folded_of(before) or {}, folded_of(cut)) or ''
    if back ~= '' then
      local slots = 's' .. field:sub(2)
      redis.call('HSET', state, slots, merge_slots(redis.call('HGET', state, slots) or '', back))
    end
    redis.call('ZADD', feed, string.format('%.0f', version), field:sub(2))
    save(version)
    made[#made + 1] = 1
  else
    made[#made + 1] = 0
  end
end
return made
`,
  false,
);

/**
 * What changed since the position ARGV[1], up to ARGV[2] names: nothing if the bucket is still there; else its position
 * now, the version of the last name, the names, and for each its slots and its cut.
 */
export const CHANGES = script(`
local state, feed = KEYS[1], KEYS[2]
local position = redis.call('HGET', state, 'b')
if position == ARGV[1] then return false end
if not position then return {} end
local since = ARGV[1]:match('%d+$')
local found = redis.call('ZRANGEBYSCORE', feed, '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local names, fields = {}, {}
for i = 1, #found, 2 do
  names[#names + 1] = found[i]
  fields[#fields + 1] = 's' .. found[i]
  fields[#fields + 1] = 'c' .. found[i]
end
if #names == 0 then return { position, since, names, names } end
return { position, string.format('%.0f', found[#found]), names, redis.call('HMGET', state, unpack(fields)) }
`);

/** In the store with the id ARGV[1] only: KEYS are its meta and its leases. */
const LEASES = `
local meta, leases = KEYS[1], KEYS[2]
if redis.call('HGET', meta, 'id') ~= ARGV[1] then return ${REFUSE} end
`;

/** The lease of replica ARGV[2]; without one, all replicas and their leases. */
export const READ_LEASES = script(`${LEASES}
if ARGV[2] then return redis.call('HGET', leases, ARGV[2]) end
return redis.call('HGETALL', leases)
`);

/** Swaps the lease of replica ARGV[2] for ARGV[4] if its version is ARGV[3]. */
export const SWAP_LEASE = script(
  `${LEASES}
local lease = redis.call('HGET', leases, ARGV[2])
local version = lease and lease:match('^%d+') or '0'
if version ~= ARGV[3] then return 0 end
redis.call('HSET', leases, ARGV[2], string.format('%.0f', version + 1) .. ' ' .. ARGV[4])
return 1
`,
  false,
);
