/** Commands about names: DEL, EXISTS, SCAN and their kin. */
import { Flag, Op } from '../../../counter/chunk.ts';
import { ERRORS } from '../../../counter/errors.ts';
import { BATCH_ENTRIES_MAX, PAGE_ENTRIES_MAX } from '../../../counter/limits.ts';
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
import { tooManyKeys } from './values.ts';

/** How many of the counters existed. */
const existedReply: ReplyFormat = (writer, chunk, first, commands) => {
  let existed = 0;
  for (let i = first; i < first + commands; i++) {
    if (chunk.hasFlag(i, Flag.existed)) existed++;
  }
  writer.number(existed);
};

const typeReply: ReplyFormat = (writer, chunk, first) =>
  writer.simple(chunk.hasFlag(first, Flag.existed) ? 'string' : 'none');

function each(op: Op): (context: CommandContext) => Planned {
  return ({ chunk, request, replies }) => {
    const keys = request.count - 1;
    if (keys > BATCH_ENTRIES_MAX) return replies.error(tooManyKeys());
    for (let i = 1; i <= keys; i++) chunk.push(op, request.starts[i], request.lengths[i], 0, 0);
    return replies.add(existedReply, keys);
  };
}

interface ScanOptions {
  match: string | undefined;
  count: number;
  /** A type that no counter has was asked for. */
  nothing: boolean;
}

/** SCAN's options from argument 2 on; a text is an error. */
function readScanOptions({ request }: CommandContext): ScanOptions | string {
  const options: ScanOptions = { match: undefined, count: 10, nothing: false };
  for (let i = 2; i < request.count; i += 2) {
    const word = request.word(i);
    if (i + 1 >= request.count) return SYNTAX_ERROR;
    if (word === 'match') options.match = request.text(i + 1);
    else if (word === 'type') options.nothing = request.word(i + 1) !== 'string';
    else if (word === 'count') {
      const count = request.integer(i + 1);
      if (count === undefined) return NOT_AN_INTEGER;
      if (count < 1n) return SYNTAX_ERROR;
      options.count = Number(count > BigInt(PAGE_ENTRIES_MAX) ? BigInt(PAGE_ENTRIES_MAX) : count);
    } else return SYNTAX_ERROR;
  }
  return options;
}

async function scan(context: CommandContext): Promise<Planned> {
  const { door, request, replies } = context;
  const cursor = request.latin1(1);
  if (!/^[0-9]{1,20}$/.test(cursor)) return replies.error(ERRORS.invalid_cursor.resp);
  const options = readScanOptions(context);
  if (typeof options === 'string') return replies.error(options);
  const page = await door.service.scan({
    cursor: cursor === '0' ? undefined : cursor,
    match: options.match,
    count: options.count,
  });
  const names = options.nothing ? [] : page.entries.map(({ name }) => name);
  return replies.say((writer) => {
    writer.array(2);
    writer.bulk(page.cursor ?? '0');
    writer.array(names.length);
    for (const name of names) writer.bulk(name);
  });
}

/** Returns all names or an error, so it works only if all counters fit on one page. */
async function keys({ door, request, replies }: CommandContext): Promise<Planned> {
  const match = request.text(1);
  const names: string[] = [];
  let cursor: string | undefined;
  do {
    if (names.length > PAGE_ENTRIES_MAX || door.service.info().counters > PAGE_ENTRIES_MAX) {
      return replies.error(`ERR KEYS is refused with more than ${PAGE_ENTRIES_MAX} counters: use SCAN`);
    }
    const page = await door.service.scan({ cursor, match, count: PAGE_ENTRIES_MAX });
    for (const { name } of page.entries) names.push(name);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return replies.say((writer) => {
    writer.array(names.length);
    for (const name of names) writer.bulk(name);
  });
}

const EACH = { group: 'generic', arity: -2, keys: ALL_KEYS, weight: perKey } as const;

export const NAME_COMMANDS: readonly CommandSpec[] = [
  command({
    ...EACH,
    syntax: 'DEL key [key ...]',
    summary: 'Deletes counters; how many existed.',
    flags: ['write'],
    handle: each(Op.delete),
  }),
  command({
    ...EACH,
    syntax: 'UNLINK key [key ...]',
    summary: 'Deletes counters; how many existed.',
    since: '4.0.0',
    flags: ['write', 'fast'],
    handle: each(Op.delete),
  }),
  command({
    ...EACH,
    syntax: 'EXISTS key [key ...]',
    summary: 'How many of the counters exist; one named twice counts twice.',
    flags: ['readonly', 'fast'],
    handle: each(Op.get),
  }),
  command({
    ...EACH,
    syntax: 'TOUCH key [key ...]',
    summary: 'The same as EXISTS: there is nothing to touch.',
    since: '3.2.1',
    flags: ['readonly', 'fast'],
    handle: each(Op.get),
  }),
  command({
    syntax: 'TYPE key',
    summary: '`string` when the counter exists, else `none`.',
    group: 'generic',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    weight: one,
    handle: ({ chunk, request, replies }) => {
      chunk.push(Op.get, request.starts[1], request.lengths[1], 0, 0);
      return replies.add(typeReply, 1);
    },
  }),
  command({
    syntax: 'SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]',
    summary: 'A page of the names, and the cursor of the next.',
    since: '2.8.0',
    group: 'generic',
    arity: -2,
    flags: ['readonly', 'no_multi'],
    perform: scan,
  }),
  command({
    syntax: 'KEYS pattern',
    summary: 'All names that match, where there are at most 10 000 counters.',
    group: 'generic',
    arity: 2,
    flags: ['readonly', 'no_multi'],
    perform: keys,
  }),
  command({
    syntax: 'DBSIZE',
    summary: 'How many counters there are.',
    group: 'server',
    arity: 1,
    flags: ['readonly', 'fast'],
    handle: ({ door, replies }) => replies.say((writer) => writer.number(door.service.info().counters)),
  }),
];
