/** INCR, DECR and their kin. The commonest forms never come here: `fast-path.ts` reads them. */
import { Op } from '../../../counter/chunk.ts';
import { DONE } from '../../../counter/errors.ts';
import { negateInt64 } from '../../../counter/int64.ts';
import { BATCH_ENTRIES_MAX } from '../../../counter/limits.ts';
import {
  type CommandContext,
  type CommandSpec,
  command,
  NOT_AN_INTEGER,
  ONE_KEY,
  one,
  wrongArity,
} from '../command.ts';
import { errorText, type Planned, type ReplyFormat, valueReply } from '../replies.ts';

const amount = new Int32Array(2);

function add({ chunk, request, replies }: CommandContext, low: number, high: number): Planned {
  chunk.push(Op.add, request.starts[1], request.lengths[1], low, high);
  return replies.add(valueReply, 1);
}

function incrementBy(context: CommandContext): Planned {
  if (!context.request.lanes(2, amount, 0)) return context.replies.error(NOT_AN_INTEGER);
  return add(context, amount[0], amount[1]);
}

function decrementBy(context: CommandContext): Planned {
  if (!context.request.lanes(2, amount, 0)) return context.replies.error(NOT_AN_INTEGER);
  // Its negative does not exist.
  if (!negateInt64(amount, 0)) return context.replies.error('ERR decrement would overflow');
  return add(context, amount[0], amount[1]);
}

/** The new values as an array, in which an entry that was refused is an error. */
const entriesReply: ReplyFormat = Object.assign(
  ((writer, chunk, first, entries) => {
    writer.array(entries);
    for (let i = first; i < first + entries; i++) {
      if (chunk.code[i] === DONE) writer.integer(chunk.value[2 * i], chunk.value[2 * i + 1]);
      else writer.error(errorText(chunk.code[i]));
    }
  }) satisfies ReplyFormat,
  { takesErrors: true as const },
);

const tallyAdd: CommandSpec = command({
  syntax: 'TALLY.ADD key increment [key increment ...]',
  summary: 'Adds to many counters at once; the new values, or an error per entry.',
  group: 'string',
  arity: -3,
  flags: ['write', 'denyoom', 'fast'],
  keys: [1, -1, 2],
  weight: (argumentCount) => Math.min((argumentCount - 1) >> 1, BATCH_ENTRIES_MAX),
  handle: ({ chunk, request, replies }) => {
    const entries = (request.count - 1) / 2;
    if (!Number.isInteger(entries)) return replies.error(wrongArity(tallyAdd));
    // All amounts before the first entry: bad input changes nothing.
    for (let i = 2; i < request.count; i += 2) {
      if (!request.lanes(i, amount, 0)) return replies.error(NOT_AN_INTEGER);
    }
    for (let i = 1; i < request.count; i += 2) {
      request.lanes(i + 1, amount, 0);
      chunk.push(Op.add, request.starts[i], request.lengths[i], amount[0], amount[1]);
    }
    return replies.add(entriesReply, entries);
  },
});

export const COUNTING_COMMANDS: readonly CommandSpec[] = [
  command({
    syntax: 'INCR key',
    summary: 'Adds one.',
    group: 'string',
    arity: 2,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    weight: one,
    handle: (context) => add(context, 1, 0),
  }),
  command({
    syntax: 'DECR key',
    summary: 'Subtracts one.',
    group: 'string',
    arity: 2,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    weight: one,
    handle: (context) => add(context, -1, -1),
  }),
  command({
    syntax: 'INCRBY key increment',
    summary: 'Adds an integer.',
    group: 'string',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    weight: one,
    handle: incrementBy,
  }),
  command({
    syntax: 'DECRBY key decrement',
    summary: 'Subtracts an integer.',
    group: 'string',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: ONE_KEY,
    weight: one,
    handle: decrementBy,
  }),
  tallyAdd,
];
