/** The commands that read: counters, listings, and the server itself. */
import type { Command } from 'commander';
import type { Entry } from '../client/client.ts';
import type { Action } from './action.ts';
import { wholeArgument } from './arguments.ts';
import { clientOf } from './connection.ts';
import { Exit } from './failure.ts';
import { type JsonValue, jsonOf, type Terminal } from './terminal.ts';

/** Counters per request of a listing, and lines per write. */
export const PAGE_ENTRIES = 5_000;
/** Rows of a table that are formatted together: their columns are as wide as the widest entry. */
const TABLE_ROWS = 500;

export function addReadCommands(program: Command, action: Action): void {
  program
    .command('get <name...>')
    .description('print the count of one counter, or VALUE<tab>NAME lines of several; an absent one counts 0')
    .addHelpText('after', '\nExamples:\n  tallyd get likes:42\n  tallyd get likes:41 likes:42 --json')
    .action(
      action(async (terminal, command, names: string[]) => {
        if (names.length > 1) return printMany(terminal, command, names);
        const [reading] = await clientOf(command, terminal).read(names);
        if (reading !== undefined) await terminal.result(`${reading.value}`, { ...reading });
        return Exit.done;
      }),
    );

  program
    .command('mget <name...>')
    .description('print VALUE<tab>NAME lines, also for a single counter')
    .addHelpText('after', '\nExamples:\n  tallyd mget likes:41 likes:42\n  tallyd mget $(cat names) | sort -rn | head')
    .action(action((terminal, command, names: string[]) => printMany(terminal, command, names)));

  program
    .command('list [pattern]')
    .description('print VALUE<tab>NAME lines of all counters, or of those that match a pattern, in no order')
    .option('--limit <count>', 'stop after so many')
    .addHelpText(
      'after',
      '\nPatterns as in Redis: * ? [a-z] [^x] and a backslash. Quote them, or the shell takes them.\n' +
        "\nExamples:\n  tallyd list\n  tallyd list 'likes:*' | sort -rn | head\n  tallyd list --json | jq .name",
    )
    .action(
      action(async (terminal, command, pattern?: string) => {
        const { limit } = command.opts<{ limit?: string }>();
        const entriesMax = limit === undefined ? Number.POSITIVE_INFINITY : wholeArgument(limit, '--limit');
        await printList(terminal, command, pattern, entriesMax);
        return Exit.done;
      }),
    );

  addServerCommands(program, action);
}

/** Marks a listing that may be incomplete. */
export function tellOnlyHeld(terminal: Terminal): void {
  const what =
    'of counters shared with other nodes only those are listed that this node holds; the store has all of them';
  terminal.hint(what, { onlyHeld: true });
}

async function printMany(terminal: Terminal, command: Command, names: readonly string[]): Promise<number> {
  const readings = await clientOf(command, terminal).read(names);
  if (terminal.json) {
    await terminal.write(readings.map((reading) => `${jsonOf({ ...reading })}\n`).join(''));
  } else {
    await terminal.counters(readings);
  }
  return Exit.done;
}

async function printList(
  terminal: Terminal,
  command: Command,
  match: string | undefined,
  entriesMax: number,
): Promise<void> {
  const rows = terminal.isInteractive ? TABLE_ROWS : PAGE_ENTRIES;
  let gathered: Entry[] = [];
  let count = 0;
  const onOnlyHeld = (): void => tellOnlyHeld(terminal);
  for await (const entry of clientOf(command, terminal).list({ match, pageSize: PAGE_ENTRIES, onOnlyHeld })) {
    gathered.push(entry);
    count += 1;
    if (gathered.length === rows) {
      await terminal.counters(gathered);
      gathered = [];
    }
    if (count === entriesMax || terminal.closed) break;
  }
  await terminal.counters(gathered);
}

function addServerCommands(program: Command, action: Action): void {
  program
    .command('info')
    .description("print the server's state and size")
    .addHelpText('after', '\nExamples:\n  tallyd info\n  tallyd info --json | jq .counters')
    .action(
      action(async (terminal, command) => {
        const { fields } = await clientOf(command, terminal).info();
        await printFields(terminal, fields);
        return Exit.done;
      }),
    );

  program
    .command('snapshot')
    .description('write a snapshot now, and drop the journal that it replaces')
    .addHelpText('after', '\nWaits up to 60 s unless --timeout says otherwise.\n\nExamples:\n  tallyd snapshot')
    .action(
      action(async (terminal, command) => {
        const summary = await clientOf(command, terminal, 60_000).snapshot();
        await printFields(terminal, { ...summary });
        return Exit.done;
      }),
    );
}

/** One `name value` line per field, or one JSON object. */
async function printFields(terminal: Terminal, fields: Readonly<Record<string, unknown>>): Promise<void> {
  const record = Object.fromEntries(flat(fields));
  if (terminal.json) return terminal.write(`${jsonOf(record)}\n`);
  const width = Math.max(...Object.keys(record).map((name) => name.length));
  const lines = Object.entries(record).map(([name, value]) => `${name.padEnd(width)}  ${value ?? '-'}\n`);
  await terminal.write(lines.join(''));
}

/** Fields by name; those of a group have its name before theirs: `store.replica`. */
function flat(fields: Readonly<Record<string, unknown>>, prefix = ''): [string, JsonValue][] {
  return Object.entries(fields).flatMap(([name, value]): [string, JsonValue][] => {
    if (typeof value === 'object' && value !== null) {
      return flat(value as Readonly<Record<string, unknown>>, `${prefix}${name}.`);
    }
    // Counts come as decimal strings, so that none is rounded.
    const isCount = typeof value === 'string' && /^-?\d+$/.test(value);
    return [[prefix + name, isCount ? BigInt(value) : (value as JsonValue)]];
  });
}
