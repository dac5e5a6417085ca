/** COMMAND: the command table, told to clients. */
import { type CommandContext, type CommandSpec, container, subcommand } from '../command.ts';
import type { Planned } from '../replies.ts';
import type { ReplyWriter } from '../reply-writer.ts';
import { help } from './help.ts';

type Table = ReadonlyMap<string, CommandSpec>;

const PART = { group: 'server', flags: ['loading', 'stale'] } as const;

const WHOLE_TABLE = { ...PART, flags: [...PART.flags, 'no_multi'], large: true } as const;

/** The table is handed in: it holds this command too. */
export function introspection(table: Table): CommandSpec {
  const subcommands = [
    subcommand({
      ...PART,
      syntax: 'COMMAND COUNT',
      summary: 'How many commands there are.',
      since: '2.8.13',
      arity: 2,
      handle: ({ replies }) => replies.say((writer) => writer.number(table.size)),
    }),
    subcommand({
      ...PART,
      syntax: 'COMMAND LIST',
      summary: 'The names of all commands.',
      since: '7.0.0',
      arity: 2,
      large: true,
      handle: ({ replies }) =>
        replies.say((writer) => {
          writer.set(table.size);
          for (const name of table.keys()) writer.bulk(name);
        }),
    }),
    subcommand({
      ...WHOLE_TABLE,
      syntax: 'COMMAND INFO [command-name ...]',
      summary: 'Arity, flags and positions of names of commands; null for one that there is not.',
      since: '2.8.13',
      arity: -2,
      handle: (context) => tellSpecs(context, context.request.count === 2 ? all(table) : named(table, context)),
    }),
    subcommand({
      ...WHOLE_TABLE,
      syntax: 'COMMAND DOCS [command-name ...]',
      summary: 'Summaries of commands.',
      since: '7.0.0',
      arity: -2,
      handle: (context) => tellDocs(context, context.request.count === 2 ? all(table) : named(table, context)),
    }),
  ];
  return container(
    {
      ...WHOLE_TABLE,
      syntax: 'COMMAND',
      summary: 'All commands.',
      since: '2.8.13',
      arity: -1,
      handle: (context) => tellSpecs(context, all(table)),
    },
    [...subcommands, help('COMMAND', subcommands)],
  );
}

function all(table: Table): readonly CommandSpec[] {
  return [...table.values()];
}

/** The commands that the arguments from 2 on name. */
function named(table: Table, { request }: CommandContext): readonly (CommandSpec | undefined)[] {
  const specs: (CommandSpec | undefined)[] = [];
  for (let i = 2; i < request.count; i++) {
    const [name, part] = request.word(i).split('|');
    const spec = table.get(name);
    specs.push(part === undefined ? spec : spec?.subcommands?.get(part));
  }
  return specs;
}

function tellSpecs({ replies }: CommandContext, specs: readonly (CommandSpec | undefined)[]): Planned {
  return replies.say((writer) => {
    writer.array(specs.length);
    for (const spec of specs) {
      if (spec === undefined) writer.null();
      else writeSpec(writer, spec);
    }
  });
}

function tellDocs({ replies }: CommandContext, specs: readonly (CommandSpec | undefined)[]): Planned {
  // Each once: the reply is a map.
  const known = [...new Set(specs)].filter((spec) => spec !== undefined);
  return replies.say((writer) => {
    writer.map(known.length);
    for (const spec of known) writeDocs(writer, spec);
  });
}

function categories({ flags, group }: CommandSpec): readonly string[] {
  const names: string[] = [];
  if (flags.includes('write')) names.push('@write');
  if (flags.includes('readonly')) names.push('@read');
  if (group === 'string') names.push('@string');
  if (group === 'generic') names.push('@keyspace');
  if (group === 'connection') names.push('@connection');
  if (group === 'transactions') names.push('@transaction');
  if (flags.includes('admin')) names.push('@admin', '@dangerous');
  return [...names, flags.includes('fast') ? '@fast' : '@slow'];
}

/** The ten fields of Redis 7; tips, key specifications and subcommands are empty. */
function writeSpec(writer: ReplyWriter, spec: CommandSpec): void {
  writer.array(10);
  writer.bulk(spec.name);
  writer.number(spec.arity);
  writer.set(spec.flags.length);
  for (const flag of spec.flags) writer.simple(flag);
  for (const position of spec.keys) writer.number(position);
  const names = categories(spec);
  writer.set(names.length);
  for (const name of names) writer.simple(name);
  writer.array(0);
  writer.array(0);
  writer.array(0);
}

function writeDocs(writer: ReplyWriter, spec: CommandSpec): void {
  writer.bulk(spec.name);
  writer.map(spec.subcommands === undefined ? 3 : 4);
  writer.bulk('summary');
  writer.bulk(spec.summary);
  writer.bulk('since');
  writer.bulk(spec.since);
  writer.bulk('group');
  writer.bulk(spec.group);
  if (spec.subcommands === undefined) return;
  writer.bulk('subcommands');
  writer.map(spec.subcommands.size);
  for (const each of spec.subcommands.values()) writeDocs(writer, each);
}
