/**
 * What runs inside Redis. A script takes one bucket's two keys, all of them declared, and is atomic: what it changes
 * and the feed's word of it appear together. Sent by its digest, and in full to a server that does not know it (a
 * new master, a restart, SCRIPT FLUSH).
 *
 * In the scripts: `above` compares bytes, for Lua's own `>` on texts follows the server's locale; `newer` compares
 * decimal numbers of any size by length, then text.
 */
import { createHash } from 'node:crypto';
import type { Call } from './line.ts';

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
local function newer_cut(before, after)
  if not before then return true end
  local v, a = before:match('^(%d+) (%x*) ')
  local w, b = after:match('^(%d+) (%x*) ')
  if v ~= w then return newer(w, v) end
  return above(b, a)
end
`;

/** `open` gives the bucket's epoch and version, `save` writes them: ARGV[1] is the epoch of a bucket that has to be made. */
const BUCKET = `
local state, feed = KEYS[1], KEYS[2]
local function save(epoch, version)
  redis.call('HSET', state, 'b', epoch .. ':' .. string.format('%.0f', version))
end
local function open(record)
  if record then
    local epoch, version = record:match('^(%x+):(%d+)$')
    return epoch, tonumber(version)
  end
  save(ARGV[1], 0)
  redis.call('ZADD', feed, 0, '')
  return ARGV[1], 0
end
`;

/** The store's id, format and number of buckets, as whoever came first has set them. */
export const MEET = script(`
redis.call('HSETNX', KEYS[1], 'id', ARGV[1])
redis.call('HSETNX', KEYS[1], 'format', ARGV[2])
redis.call('HSETNX', KEYS[1], 'buckets', ARGV[3])
return redis.call('HMGET', KEYS[1], 'id', 'format', 'buckets')
`);

/** The bucket's record; makes the bucket if need be. */
export const OPEN = script(`${BUCKET}
open(redis.call('HGET', state, 'b'))
return redis.call('HGET', state, 'b')
`);

/** Keeps the newer: ARGV[2..] are pairs of a field, "s" or "c" and the name, and slots or a cut. */
export const MERGE = script(`${COMPARE}${BUCKET}
local function merge_slots(before, after)
  for entry, replica, version in after:gmatch('((%x+) (%d+) %-?%d+;)') do
    local from = before:find(replica, 1, true)
    if not from then
      before = before .. entry
    else
      local _, to, known = before:find('^ (%d+) %-?%d+;', from + #replica)
      if newer(version, known) then before = before:sub(1, from - 1) .. entry .. before:sub(to + 1) end
    end
  end
  return before
end

local fields = { 'b' }
for i = 2, #ARGV, 2 do fields[#fields + 1] = ARGV[i] end
local stored = redis.call('HMGET', state, unpack(fields))
local epoch, version = open(stored[1])
local writes, changes = {}, {}
for i = 2, #fields do
  local field, before, after = fields[i], stored[i], ARGV[2 * i - 1]
  if field:byte() == 115 then
    after = merge_slots(before or '', after)
    if after == before then after = nil end
  elseif not newer_cut(before, after) then
    after = nil
  end
  if after then
    version = version + 1
    writes[#writes + 1] = field
    writes[#writes + 1] = after
    changes[#changes + 1] = string.format('%.0f', version)
    changes[#changes + 1] = field:sub(2)
  end
end
if #writes > 0 then
  save(epoch, version)
  redis.call('HSET', state, unpack(writes))
  redis.call('ZADD', feed, unpack(changes))
end
`);

/** Compare-and-set: ARGV[2..] are triples of a field, the version that must be there, and the cut. */
export const CUT = script(
  `${BUCKET}
local epoch, version = open(redis.call('HGET', state, 'b'))
local made = {}
for i = 2, #ARGV, 3 do
  local field, expected, cut = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local before = redis.call('HGET', state, field)
  local known = before and before:match('^%d+') or '0'
  if known == expected then
    version = version + 1
    redis.call('HSET', state, field, cut)
    redis.call('ZADD', feed, string.format('%.0f', version), field:sub(2))
    save(epoch, version)
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
 * What changed since the record ARGV[1], up to ARGV[2] names: nothing if the bucket is still there; else its record
 * now, the version of the last name, the names, and for each its slots and its cut.
 */
export const CHANGES = script(`
local state, feed = KEYS[1], KEYS[2]
local record = redis.call('HGET', state, 'b')
if record == ARGV[1] then return false end
if not record then return {} end
local since = ARGV[1]:match('%d+$')
local found = redis.call('ZRANGEBYSCORE', feed, '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local names, fields = {}, {}
for i = 1, #found, 2 do
  names[#names + 1] = found[i]
  fields[#fields + 1] = 's' .. found[i]
  fields[#fields + 1] = 'c' .. found[i]
end
if #names == 0 then return { record, since, names, names } end
return { record, string.format('%.0f', found[#found]), names, redis.call('HMGET', state, unpack(fields)) }
`);

/** Swaps the lease of replica ARGV[1] for ARGV[3] if its version is ARGV[2]. */
export const SWAP_LEASE = script(
  `
local lease = redis.call('HGET', KEYS[1], ARGV[1])
local version = lease and lease:match('^%d+') or '0'
if version ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', version + 1) .. ' ' .. ARGV[3])
return 1
`,
  false,
);
