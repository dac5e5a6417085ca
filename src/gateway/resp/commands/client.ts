/** CLIENT: what libraries report about themselves when they connect, and query about their connection. */
import { CLIENT_NAME_BYTES_MAX } from '../../../counter/limits.ts';
import { type CommandContext, type CommandSpec, container, ok, SYNTAX_ERROR, subcommand } from '../command.ts';
import type { Planned } from '../replies.ts';
import { help } from './help.ts';

/**
 * What a client reports about itself is kept while it is connected, and appears in CLIENT INFO: short, printable ASCII
 * without blanks. @returns the error for anything else
 */
export function nameError(what: string, text: string): string | undefined {
  if (text.length > CLIENT_NAME_BYTES_MAX) return `ERR ${what} cannot be longer than ${CLIENT_NAME_BYTES_MAX} bytes.`;
  return /^[!-~]*$/.test(text) ? undefined : `ERR ${what} cannot contain spaces, newlines or special characters.`;
}

/** The connection as shown by CLIENT INFO; fields without a meaning here have the value of an idle connection. */
function describe({ door, client }: CommandContext): string {
  const fields = {
    id: client.id,
    addr: client.peer,
    laddr: client.local,
    name: client.name,
    age: Math.floor((door.clock.monotonicMs() - client.openedMs) / 1000),
    idle: 0,
    flags: client.transaction === undefined ? 'N' : 'x',
    db: 0,
    sub: 0,
    psub: 0,
    multi: client.transaction?.commands.length ?? -1,
    cmd: 'client|info',
    user: 'default',
    'lib-name': client.libraryName,
    'lib-ver': client.libraryVersion,
    resp: client.protocol,
  };
  return `${Object.entries(fields)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')}\n`;
}

function setInfo(context: CommandContext): Planned {
  const { request, replies, client } = context;
  const option = request.word(2);
  const value = request.latin1(3);
  if (option !== 'lib-name' && option !== 'lib-ver') {
    return replies.error(`ERR Unrecognized option '${request.latin1(2)}'`);
  }
  const error = nameError(option, value);
  if (error !== undefined) return replies.error(error);
  if (option === 'lib-name') client.libraryName = value;
  else client.libraryVersion = value;
  return ok(context);
}

/** ON and OFF are accepted without effect. */
function toggle(context: CommandContext): Planned {
  const word = context.request.word(2);
  if (word !== 'on' && word !== 'off') return context.replies.error(SYNTAX_ERROR);
  return ok(context);
}

const PART = { group: 'connection', flags: ['noscript', 'loading', 'stale'] } as const;

const SUBCOMMANDS: readonly CommandSpec[] = [
  subcommand({
    ...PART,
    syntax: 'CLIENT ID',
    summary: 'The number of this connection.',
    since: '5.0.0',
    arity: 2,
    handle: ({ replies, client }) => replies.say((writer) => writer.number(client.id)),
  }),
  subcommand({
    ...PART,
    syntax: 'CLIENT INFO',
    summary: 'This connection, as one line.',
    since: '6.2.0',
    arity: 2,
    handle: (context) => context.replies.say((writer) => writer.verbatim(describe(context))),
  }),
  subcommand({
    ...PART,
    syntax: 'CLIENT GETNAME',
    summary: 'The name of this connection, or null.',
    since: '2.6.9',
    arity: 2,
    handle: ({ replies, client }) => {
      const { name } = client;
      return replies.say((writer) => (name === '' ? writer.null() : writer.bulk(name)));
    },
  }),
  subcommand({
    ...PART,
    syntax: 'CLIENT SETNAME connection-name',
    summary: 'Names this connection.',
    since: '2.6.9',
    arity: 3,
    handle: (context) => {
      const name = context.request.latin1(2);
      const error = nameError('Client names', name);
      if (error !== undefined) return context.replies.error(error);
      context.client.name = name;
      return ok(context);
    },
  }),
  subcommand({
    ...PART,
    syntax: 'CLIENT SETINFO LIB-NAME | LIB-VER value',
    summary: 'Says what library the client uses.',
    since: '7.2.0',
    arity: 4,
    handle: setInfo,
  }),
  subcommand({
    ...PART,
    syntax: 'CLIENT NO-EVICT ON | OFF',
    summary: 'Taken without effect: no connection is evicted.',
    since: '7.0.0',
    arity: 3,
    handle: toggle,
  }),
  subcommand({
    ...PART,
    syntax: 'CLIENT NO-TOUCH ON | OFF',
    summary: 'Taken without effect: there is nothing to touch.',
    since: '7.2.0',
    arity: 3,
    handle: toggle,
  }),
];

export const CLIENT: CommandSpec = container(
  { syntax: 'CLIENT', summary: 'Commands about this connection.', since: '2.4.0', group: 'connection' },
  [...SUBCOMMANDS, help('CLIENT', SUBCOMMANDS)],
);
