/** EXPIRE, TTL and their kin. */
import { type CommandOptions, Flag, Op } from '../../../counter/chunk.ts';
import { type CommandContext, type CommandSpec, command, NOT_AN_INTEGER, ONE_KEY, one } from '../command.ts';
import type { Planned, ReplyFormat } from '../replies.ts';
import { deadlineIn, type ExpiryKind, invalidExpireTime } from './expiry.ts';
import { changedReply } from './values.ts';

type Condition = NonNullable<CommandOptions['deadlineOnlyIf']>;

/** The condition that the options from argument 3 on name; a text is an error. */
function readCondition({ request }: CommandContext): { onlyIf: Condition | undefined } | string {
  const given = new Set<string>();
  for (let i = 3; i < request.count; i++) {
    const word = request.word(i);
    if (!['nx', 'xx', 'gt', 'lt'].includes(word)) return `ERR Unsupported option ${request.latin1(i)}`;
    given.add(word);
  }
  if (given.has('nx') && given.size > 1) {
    return 'ERR NX and XX, GT or LT options at the same time are not compatible';
  }
  if (given.has('gt') && given.has('lt')) return 'ERR GT and LT options at the same time are not compatible';
  if (given.has('nx')) return { onlyIf: 'none' };
  // No deadline is later than any, so GT implies XX.
  if (given.has('gt')) return { onlyIf: 'later' };
  if (given.has('lt')) return { onlyIf: given.has('xx') ? 'sooner' : 'earlier' };
  return { onlyIf: given.has('xx') ? 'some' : undefined };
}

function expire(kind: ExpiryKind): (context: CommandContext) => Planned {
  return (context) => {
    const { chunk, door, request, replies } = context;
    const condition = readCondition(context);
    if (typeof condition === 'string') return replies.error(condition);
    const time = request.integer(2);
    if (time === undefined) return replies.error(NOT_AN_INTEGER);
    const deadline = deadlineIn(kind, time, door.clock.nowMs());
    if (deadline === undefined) return replies.error(invalidExpireTime(request.word(0)));
    const i = chunk.push(Op.expire, request.starts[1], request.lengths[1], 0, 0);
    chunk.options[i] = { deadline, deadlineOnlyIf: condition.onlyIf };
    return replies.add(changedReply, 1);
  };
}

/** -2 without a counter, -1 without a deadline, otherwise the result of `tell`. */
function deadline(tell: (unixMs: number, nowMs: number) => number): (context: CommandContext) => Planned {
  return ({ chunk, door, request, replies }) => {
    const reply: ReplyFormat = (writer, _, first) => {
      const unixMs = Number(chunk.valueAt(first));
      if (!chunk.hasFlag(first, Flag.existed)) writer.number(-2);
      else writer.number(unixMs < 0 ? -1 : tell(unixMs, door.clock.nowMs()));
    };
    chunk.push(Op.deadline, request.starts[1], request.lengths[1], 0, 0);
    return replies.add(reply, 1);
  };
}

const leftMs = (unixMs: number, nowMs: number): number => Math.max(0, unixMs - nowMs);
const toSeconds = (ms: number): number => Math.floor((ms + 500) / 1000);

const WRITE = { group: 'generic', flags: ['write', 'fast'], keys: ONE_KEY, weight: one } as const;
const READ = { group: 'generic', flags: ['readonly', 'fast'], keys: ONE_KEY, weight: one, arity: 2 } as const;
const CONDITION = '[NX | XX | GT | LT]';

export const DEADLINE_COMMANDS: readonly CommandSpec[] = [
  command({
    ...WRITE,
    syntax: `EXPIRE key seconds ${CONDITION}`,
    summary: 'Sets the expire time, counted from now; a time in the past deletes.',
    arity: -3,
    handle: expire('ex'),
  }),
  command({
    ...WRITE,
    syntax: `PEXPIRE key milliseconds ${CONDITION}`,
    summary: 'Sets the expire time, counted from now; a time in the past deletes.',
    since: '2.6.0',
    arity: -3,
    handle: expire('px'),
  }),
  command({
    ...WRITE,
    syntax: `EXPIREAT key unix-seconds ${CONDITION}`,
    summary: 'Sets the expire time; one in the past deletes.',
    since: '1.2.0',
    arity: -3,
    handle: expire('exat'),
  }),
  command({
    ...WRITE,
    syntax: `PEXPIREAT key unix-milliseconds ${CONDITION}`,
    summary: 'Sets the expire time; one in the past deletes.',
    since: '2.6.0',
    arity: -3,
    handle: expire('pxat'),
  }),
  command({
    ...READ,
    syntax: 'TTL key',
    summary: 'Seconds left; -1 without an expire time, -2 without a counter.',
    handle: deadline((unixMs, nowMs) => toSeconds(leftMs(unixMs, nowMs))),
  }),
  command({
    ...READ,
    syntax: 'PTTL key',
    summary: 'Milliseconds left; -1 without an expire time, -2 without a counter.',
    since: '2.6.0',
    handle: deadline(leftMs),
  }),
  command({
    ...READ,
    syntax: 'EXPIRETIME key',
    summary: 'The expire time in Unix seconds; -1 without one, -2 without a counter.',
    since: '7.0.0',
    handle: deadline(toSeconds),
  }),
  command({
    ...READ,
    syntax: 'PEXPIRETIME key',
    summary: 'The expire time in Unix milliseconds; -1 without one, -2 without a counter.',
    since: '7.0.0',
    handle: deadline((unixMs) => unixMs),
  }),
  command({
    ...WRITE,
    syntax: 'PERSIST key',
    summary: 'Removes the expire time.',
    since: '2.2.0',
    arity: 2,
    handle: ({ chunk, request, replies }) => {
      const i = chunk.push(Op.expire, request.starts[1], request.lengths[1], 0, 0);
      chunk.options[i] = { deadline: { kind: 'persist' } };
      return replies.add(changedReply, 1);
    },
  }),
];
