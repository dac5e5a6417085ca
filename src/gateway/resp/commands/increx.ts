/**
 * INCREX as Redis 8.8 and Valkey 9.2 define it: an increment with bounds and an expire time. A result out of bounds is
 * not an error: without SATURATE nothing changes and the reply is `[value, 0]`.
 */
import { type CommandOptions, type DeadlineChange, Flag, Op } from '../../../counter/chunk.ts';
import { BOUND_REFUSALS, DONE } from '../../../counter/errors.ts';
import { writeInt64 } from '../../../counter/int64.ts';
import {
  type CommandContext,
  type CommandSpec,
  command,
  NOT_AN_INTEGER,
  ONE_KEY,
  one,
  SYNTAX_ERROR,
} from '../command.ts';
import { errorText, type Planned, type ReplyFormat } from '../replies.ts';
import type { Request } from '../request.ts';
import { deadlineIn, type ExpiryKind, invalidExpireTime, isExpiryKind } from './expiry.ts';

const incrementReply: ReplyFormat = Object.assign(
  ((writer, chunk, first) => {
    const code = chunk.code[first];
    const isOutOfBounds = BOUND_REFUSALS.has(code);
    if (code !== DONE && !isOutOfBounds) {
      writer.error(errorText(code));
    } else if (code === DONE && !chunk.hasFlag(first, Flag.changed | Flag.saturated)) {
      // NX or XX held it back.
      writer.nullArray();
    } else {
      writer.array(2);
      writer.integer(chunk.value[2 * first], chunk.value[2 * first + 1]);
      if (isOutOfBounds) writer.number(0);
      else writer.integer(chunk.other[2 * first], chunk.other[2 * first + 1]);
    }
  }) satisfies ReplyFormat,
  { takesErrors: true as const },
);

/** The options as they stand in the request: positions of their values, 0 when absent. */
interface Options {
  by: number;
  byFloat: boolean;
  floor: number;
  ceiling: number;
  saturate: boolean;
  expiry: ExpiryKind | 'persist' | undefined;
  expiryAt: number;
  onlyWithoutExpiry: boolean;
  onlyIf: 'exists' | 'absent' | undefined;
}

/** @returns undefined for a syntax error. */
function readOptions(request: Request): Options | undefined {
  const options: Options = {
    by: 0,
    byFloat: false,
    floor: 0,
    ceiling: 0,
    saturate: false,
    expiry: undefined,
    expiryAt: 0,
    onlyWithoutExpiry: false,
    onlyIf: undefined,
  };
  for (let i = 2; i < request.count; i++) {
    const word = request.word(i);
    const hasNext = i + 1 < request.count;
    if (word === 'byint' && hasNext && options.by === 0) options.by = ++i;
    else if (word === 'byfloat' && hasNext && options.by === 0) {
      options.by = ++i;
      options.byFloat = true;
    } else if (word === 'lbound' && hasNext && options.floor === 0) options.floor = ++i;
    else if (word === 'ubound' && hasNext && options.ceiling === 0) options.ceiling = ++i;
    else if (word === 'saturate') options.saturate = true;
    else if (word === 'enx') options.onlyWithoutExpiry = true;
    else if (word === 'persist' && options.expiry === undefined) options.expiry = word;
    else if (isExpiryKind(word) && hasNext && options.expiry === undefined) {
      options.expiry = word;
      options.expiryAt = ++i;
    } else if (word === 'nx' && options.onlyIf !== 'exists') options.onlyIf = 'absent';
    else if (word === 'xx' && options.onlyIf !== 'absent') options.onlyIf = 'exists';
    else return undefined;
  }
  return options.onlyWithoutExpiry && options.expiry === 'persist' ? undefined : options;
}

function increment(context: CommandContext): Planned {
  const { chunk, request, replies } = context;
  const options = readOptions(request);
  if (options === undefined) return replies.error(SYNTAX_ERROR);
  if (options.onlyWithoutExpiry && options.expiry === undefined) {
    return replies.error('ERR ENX flag requires an expiration');
  }
  if (options.byFloat) return replies.error('ERR BYFLOAT is not supported: a counter is an integer');
  const by = options.by === 0 ? 1n : request.integer(options.by);
  const floor = options.floor === 0 ? undefined : request.integer(options.floor);
  const ceiling = options.ceiling === 0 ? undefined : request.integer(options.ceiling);
  const isMissing = (at: number, value: bigint | undefined) => at > 0 && value === undefined;
  if (by === undefined || isMissing(options.floor, floor) || isMissing(options.ceiling, ceiling)) {
    return replies.error(NOT_AN_INTEGER);
  }
  if (floor !== undefined && ceiling !== undefined && floor > ceiling) {
    return replies.error("ERR LBOUND can't be greater than UBOUND");
  }
  const deadline = readDeadline(context, options);
  if (typeof deadline === 'string') return replies.error(deadline);
  const i = chunk.push(Op.add, request.starts[1], request.lengths[1], 0, 0);
  writeInt64(chunk.amount, 2 * i, by);
  const commandOptions: CommandOptions = {
    floor,
    ceiling,
    saturate: options.saturate,
    deadline,
    deadlineOnlyIf: options.onlyWithoutExpiry ? 'none' : undefined,
    onlyIf: options.onlyIf,
  };
  chunk.options[i] = commandOptions;
  return replies.add(incrementReply, 1);
}

/** The deadline that the options ask for, or the text of an error. */
function readDeadline({ door, request }: CommandContext, options: Options): DeadlineChange | string | undefined {
  if (options.expiry === undefined) return undefined;
  if (options.expiry === 'persist') return { kind: 'persist' };
  const value = request.integer(options.expiryAt);
  if (value === undefined) return NOT_AN_INTEGER;
  const deadline = value > 0n ? deadlineIn(options.expiry, value, door.clock.nowMs()) : undefined;
  return deadline ?? invalidExpireTime('increx');
}

export const INCREX: CommandSpec = command({
  syntax:
    'INCREX key [BYINT increment] [LBOUND floor] [UBOUND ceiling] [SATURATE] ' +
    '[EX seconds | PX milliseconds | EXAT unix-seconds | PXAT unix-milliseconds | PERSIST] [ENX] [NX | XX]',
  summary: 'Adds an integer within bounds and sets the expire time; the new value and what was applied.',
  since: '8.8.0',
  group: 'string',
  arity: -2,
  flags: ['write', 'denyoom', 'fast'],
  keys: ONE_KEY,
  weight: one,
  handle: increment,
});
