/** GET, SET and their kin: values as text. A value that is set must be an integer. */

import type { Chunk } from '../../../counter/chunk.ts';
import { type CommandOptions, type DeadlineChange, Flag, Op } from '../../../counter/chunk.ts';
import { BATCH_ENTRIES_MAX } from '../../../counter/limits.ts';
import {
  ALL_KEYS,
  type CommandContext,
  type CommandSpec,
  command,
  NOT_AN_INTEGER,
  ONE_KEY,
  one,
  perKey,
  SYNTAX_ERROR,
} from '../command.ts';
import type { Planned, ReplyFormat } from '../replies.ts';
import type { ReplyWriter } from '../reply-writer.ts';
import { deadlineIn, type ExpiryKind, invalidExpireTime, isExpiryKind } from './expiry.ts';

const value = new Int32Array(2);

function writeValue(writer: ReplyWriter, chunk: Chunk, i: number): void {
  if (chunk.hasFlag(i, Flag.existed)) writer.decimal(chunk.value[2 * i], chunk.value[2 * i + 1]);
  else writer.null();
}

/** The value read by the first command, or null. */
export const readReply: ReplyFormat = (writer, chunk, first) => writeValue(writer, chunk, first);

const readsReply: ReplyFormat = (writer, chunk, first, reads) => {
  writer.array(reads);
  for (let i = first; i < first + reads; i++) writeValue(writer, chunk, i);
};

/** The value before a set or delete, or null. */
const beforeReply: ReplyFormat = (writer, chunk, first) => {
  if (chunk.hasFlag(first, Flag.existed)) writer.decimal(chunk.other[2 * first], chunk.other[2 * first + 1]);
  else writer.null();
};

/** OK, or null when NX or XX held the set back. */
const setReply: ReplyFormat = (writer, chunk, first) => {
  if (chunk.hasFlag(first, Flag.changed)) writer.simple('OK');
  else writer.null();
};

/** 1 when the command took effect, else 0. */
export const changedReply: ReplyFormat = (writer, chunk, first) =>
  writer.number(chunk.hasFlag(first, Flag.changed) ? 1 : 0);

export function tooManyKeys(): string {
  return `ERR too many keys in one command, at most ${BATCH_ENTRIES_MAX}`;
}

function pushGet({ chunk, request }: CommandContext, at: number): void {
  chunk.push(Op.get, request.starts[at], request.lengths[at], 0, 0);
}

/** Sets the counter to the integer that argument `at` is. */
function planSet(context: CommandContext, at: number, format: ReplyFormat, options?: CommandOptions): Planned {
  const { chunk, request, replies } = context;
  if (!request.lanes(at, value, 0)) return replies.error(NOT_AN_INTEGER);
  const i = chunk.push(Op.set, request.starts[1], request.lengths[1], value[0], value[1]);
  if (options !== undefined) chunk.options[i] = options;
  return replies.add(format, 1);
}

interface SetOptions {
  onlyIf: 'exists' | 'absent' | undefined;
  get: boolean;
  expiry: ExpiryKind | 'keepttl' | 'persist' | undefined;
  /** Position of the expire time's value. */
  expiryAt: number;
}

/** Options of SET (from argument 3) or GETEX (from argument 2). @returns undefined for a syntax error. */
function readOptions({ request }: CommandContext, from: 2 | 3): SetOptions | undefined {
  const options: SetOptions = { onlyIf: undefined, get: false, expiry: undefined, expiryAt: 0 };
  const isSet = from === 3;
  for (let i = from; i < request.count; i++) {
    const word = request.word(i);
    const mayExpire = options.expiry === undefined || options.expiry === word;
    if (word === 'nx' && isSet && options.onlyIf !== 'exists') options.onlyIf = 'absent';
    else if (word === 'xx' && isSet && options.onlyIf !== 'absent') options.onlyIf = 'exists';
    else if (word === 'get' && isSet) options.get = true;
    else if (word === (isSet ? 'keepttl' : 'persist') && mayExpire) options.expiry = word;
    else if (isExpiryKind(word) && mayExpire && i + 1 < request.count) {
      options.expiry = word;
      options.expiryAt = ++i;
    } else return undefined;
  }
  return options;
}

/** The deadline in argument `at`, or the text of an error. */
function readDeadline(context: CommandContext, kind: ExpiryKind, at: number): DeadlineChange | string {
  const time = context.request.integer(at);
  if (time === undefined) return NOT_AN_INTEGER;
  const deadline = time > 0n ? deadlineIn(kind, time, context.door.clock.nowMs()) : undefined;
  return deadline ?? invalidExpireTime(context.request.word(0));
}

function set(context: CommandContext): Planned {
  const { replies } = context;
  const options = readOptions(context, 3);
  if (options === undefined) return replies.error(SYNTAX_ERROR);
  const { expiry } = options;
  const deadline =
    expiry !== undefined && isExpiryKind(expiry) ? readDeadline(context, expiry, options.expiryAt) : undefined;
  if (typeof deadline === 'string') return replies.error(deadline);
  const keepDeadline = expiry === 'keepttl';
  const isPlain = deadline === undefined && !keepDeadline && options.onlyIf === undefined;
  return planSet(
    context,
    2,
    options.get ? beforeReply : setReply,
    isPlain ? undefined : { deadline, keepDeadline, onlyIf: options.onlyIf },
  );
}

function setExpiring(kind: ExpiryKind): (context: CommandContext) => Planned {
  return (context) => {
    const deadline = readDeadline(context, kind, 2);
    if (typeof deadline === 'string') return context.replies.error(deadline);
    return planSet(context, 3, setReply, { deadline });
  };
}

function getAndExpire(context: CommandContext): Planned {
  const { chunk, request, replies } = context;
  const options = readOptions(context, 2);
  if (options === undefined) return replies.error(SYNTAX_ERROR);
  const { expiry } = options;
  const deadline =
    expiry !== undefined && isExpiryKind(expiry) ? readDeadline(context, expiry, options.expiryAt) : undefined;
  pushGet(context, 1);
  if (typeof deadline === 'string') {
    // Redis looks for the counter before it looks at the time.
    return replies.add((writer, { flags }, first) => {
      if ((flags[first] & Flag.existed) !== 0) writer.error(deadline);
      else writer.null();
    }, 1);
  }
  if (expiry === undefined) return replies.add(readReply, 1);
  const i = chunk.push(Op.expire, request.starts[1], request.lengths[1], 0, 0);
  chunk.options[i] = { deadline: deadline ?? { kind: 'persist' } };
  return replies.add(readReply, 2);
}

const READ = { group: 'string', flags: ['readonly', 'fast'], keys: ONE_KEY, weight: one } as const;
const WRITE = { group: 'string', flags: ['write', 'denyoom'], keys: ONE_KEY, weight: one } as const;
const FAST_WRITE = { ...WRITE, flags: ['write', 'denyoom', 'fast'] } as const;
const EXPIRY = 'EX seconds | PX milliseconds | EXAT unix-seconds | PXAT unix-milliseconds';

export const VALUE_COMMANDS: readonly CommandSpec[] = [
  command({
    ...READ,
    syntax: 'GET key',
    summary: 'The value, or null.',
    arity: 2,
    handle: (context) => {
      pushGet(context, 1);
      return context.replies.add(readReply, 1);
    },
  }),
  command({
    ...READ,
    syntax: 'MGET key [key ...]',
    summary: 'The values of many counters, null for each that does not exist.',
    arity: -2,
    keys: ALL_KEYS,
    weight: perKey,
    handle: (context) => {
      const keys = context.request.count - 1;
      if (keys > BATCH_ENTRIES_MAX) return context.replies.error(tooManyKeys());
      for (let i = 1; i <= keys; i++) pushGet(context, i);
      return context.replies.add(readsReply, keys);
    },
  }),
  command({
    ...WRITE,
    syntax: `SET key value [NX | XX] [GET] [${EXPIRY} | KEEPTTL]`,
    summary: 'Sets the value, which must be an integer; without KEEPTTL an expire time goes.',
    arity: -3,
    handle: set,
  }),
  command({
    ...FAST_WRITE,
    syntax: 'SETNX key value',
    summary: 'Sets the value if the counter does not exist.',
    arity: 3,
    handle: (context) => planSet(context, 2, changedReply, { onlyIf: 'absent' }),
  }),
  command({
    ...WRITE,
    syntax: 'SETEX key seconds value',
    summary: 'Sets the value and the expire time.',
    since: '2.0.0',
    arity: 4,
    handle: setExpiring('ex'),
  }),
  command({
    ...WRITE,
    syntax: 'PSETEX key milliseconds value',
    summary: 'Sets the value and the expire time.',
    since: '2.6.0',
    arity: 4,
    handle: setExpiring('px'),
  }),
  command({
    ...FAST_WRITE,
    syntax: 'GETSET key value',
    summary: 'Sets the value; the one before, or null.',
    arity: 3,
    handle: (context) => planSet(context, 2, beforeReply),
  }),
  command({
    ...FAST_WRITE,
    syntax: 'GETDEL key',
    summary: 'Deletes the counter; its value, or null.',
    since: '6.2.0',
    arity: 2,
    flags: ['write', 'fast'],
    handle: ({ chunk, request, replies }) => {
      chunk.push(Op.delete, request.starts[1], request.lengths[1], 0, 0);
      return replies.add(beforeReply, 1);
    },
  }),
  command({
    ...FAST_WRITE,
    syntax: `GETEX key [${EXPIRY} | PERSIST]`,
    summary: 'The value, or null; sets or removes the expire time.',
    since: '6.2.0',
    arity: -2,
    flags: ['write', 'fast'],
    weight: () => 2,
    handle: getAndExpire,
  }),
];
