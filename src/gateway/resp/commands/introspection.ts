/** COMMAND: the command table, told to clients. */
import { type CommandContext, type CommandSpec, container, SYNTAX_ERROR, subcommand } from '../command.ts';
import type { ReplyWriter } from '../reply-writer.ts';
import { help } from './help.ts';

/** The table is handed in: it holds this command too. */
export function introspection(table: ReadonlyMap<string, CommandSpec>): CommandSpec {
  const tellAll = ({ replies }: CommandContext) =>
    replies.say((writer) => {
      writer.array(table.size);
      for (const spec of table.values()) writeSpec(writer, spec);
    });
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
      arity: -2,
      large: true,
      handle: ({ replies, request }) => {
        if (request.count > 2) return replies.error(SYNTAX_ERROR);
        return replies.say((writer) => {
          writer.set(table.size);
          for (const name of table.keys()) writer.bulk(name);
        });
      },
    }),
    subcommand({
      ...PART,
      syntax: 'COMMAND INFO [command-name ...]',
      summary: 'Arity, flags and positions of names of commands; null for one that there is not.',
      since: '2.8.13',
      arity: -2,
      flags: [...PART.flags, 'no_multi'],
      large: true,
      handle: (context) => {
        if (context.request.count === 2) return tellAll(context);
        const specs = namedSpecs(table, context);
        return context.replies.say((writer) => {
          writer.array(specs.length);
          for (const spec of specs) {
            if (spec === undefined) writer.nullArray();
            else writeSpec(writer, spec);
          }
        });
      },
    }),
    subcommand({
      ...PART,
      syntax: 'COMMAND DOCS [command-name ...]',
      summary: 'Summaries of commands.',
      since: '7.0.0',
      arity: -2,
      flags: [...PART.flags, 'no_multi'],
      large: true,
      handle: (context) => {
        const named = context.request.count === 2 ? [...table.values()] : namedSpecs(table, context);
        // Each once: the reply is a map.
        const specs = [...new Set(named)].filter((spec) => spec !== undefined);
        return context.replies.say((writer) => {
          writer.map(specs.length);
          for (const spec of specs) writeDocs(writer, spec);
        });
      },
    }),
  ];
  return container(
    {
      ...PART,
      syntax: 'COMMAND',
      summary: 'All commands.',
      since: '2.8.13',
      arity: -1,
      flags: [...PART.flags, 'no_multi'],
      large: true,
      handle: tellAll,
    },
    [...subcommands, help('COMMAND', subcommands)],
  );
}

const PART = { group: 'server', flags: ['loading', 'stale'] } as const;

/** The commands that the arguments from 2 on name. */
function namedSpecs(
  table: ReadonlyMap<string, CommandSpec>,
  { request }: CommandContext,
): readonly (CommandSpec | undefined)[] {
  const specs: (CommandSpec | undefined)[] = [];
  for (let i = 2; i < request.count; i++) {
    const [name, part] = request.word(i).split('|');
    const spec = table.get(name);
    specs.push(part === undefined ? spec : spec?.subcommands?.get(part));
  }
  return specs;
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
