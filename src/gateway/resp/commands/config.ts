/** CONFIG GET: the settings that clients and tools ask Redis for. Nothing can be set from here. */

import { ERRORS } from '../../../counter/errors.ts';
import { Glob } from '../../../counter/glob.ts';
import { PATTERN_BYTES_MAX, RESP_ARGUMENT_BYTES_MAX } from '../../../counter/limits.ts';
import type { Durability } from '../../../counter/service.ts';
import { type CommandContext, type CommandSpec, container, type DoorContext, subcommand } from '../command.ts';
import type { Planned } from '../replies.ts';
import { help } from './help.ts';

const APPEND_FSYNC: Readonly<Record<Durability, string>> = { always: 'always', interval: 'everysec', off: 'no' };

function settings({ facts, service }: DoorContext): Readonly<Record<string, string>> {
  return {
    appendfsync: APPEND_FSYNC[service.info().durability],
    appendonly: 'yes',
    databases: '1',
    maxclients: `${facts.connectionsMax}`,
    maxmemory: '0',
    'maxmemory-policy': 'noeviction',
    port: `${facts.port}`,
    'proto-max-bulk-len': `${RESP_ARGUMENT_BYTES_MAX}`,
    save: '',
    timeout: '0',
  };
}

function get({ door, request, replies }: CommandContext): Planned {
  const patterns: Glob[] = [];
  // Of all patterns together: compiling one takes time with its length.
  let bytes = 0;
  for (let i = 2; i < request.count; i++) bytes += request.lengths[i] + 1;
  if (bytes > PATTERN_BYTES_MAX) return replies.error(ERRORS.invalid_pattern.resp);
  for (let i = 2; i < request.count; i++) patterns.push(new Glob(request.text(i).toLowerCase()));
  const matching = Object.entries(settings(door)).filter(([name]) => {
    const bytes = Buffer.from(name);
    return patterns.some((pattern) => pattern.matches(bytes, 0, bytes.length));
  });
  return replies.say((writer) => {
    writer.map(matching.length);
    for (const [name, value] of matching) {
      writer.bulk(name);
      writer.bulk(value);
    }
  });
}

const PART = { group: 'server', flags: ['admin', 'noscript', 'loading', 'stale'] } as const;

const SUBCOMMANDS: readonly CommandSpec[] = [
  subcommand({
    ...PART,
    syntax: 'CONFIG GET parameter [parameter ...]',
    summary: 'Settings whose names match.',
    since: '2.0.0',
    arity: -3,
    handle: get,
  }),
  subcommand({
    ...PART,
    syntax: 'CONFIG SET parameter value [parameter value ...]',
    summary: 'Refused: settings come from the config file and the command line.',
    since: '2.0.0',
    arity: -4,
    handle: ({ replies }) =>
      replies.error('ERR CONFIG SET is not supported: settings come from the config file and the command line'),
  }),
  subcommand({
    ...PART,
    syntax: 'CONFIG RESETSTAT',
    summary: 'Refused: statistics only grow.',
    since: '2.0.0',
    arity: 2,
    handle: ({ replies }) => replies.error('ERR CONFIG RESETSTAT is not supported: statistics only grow'),
  }),
];

export const CONFIG: CommandSpec = container(
  { syntax: 'CONFIG', summary: 'Commands about settings.', since: '2.0.0', group: 'server' },
  [...SUBCOMMANDS, help('CONFIG', SUBCOMMANDS)],
);
