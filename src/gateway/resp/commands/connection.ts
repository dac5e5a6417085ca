/** What a client says about its connection: AUTH, HELLO, PING, QUIT and their kin. */
import { principalOf, STRANGER } from '../../auth/principal.ts';
import {
  always,
  type Client,
  type CommandContext,
  type CommandSpec,
  command,
  type DoorContext,
  NOT_AN_INTEGER,
  ok,
  SYNTAX_ERROR,
  wrongArity,
} from '../command.ts';
import type { Planned } from '../replies.ts';
import type { Request } from '../request.ts';
import { nameError } from './client.ts';

const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';
const NO_PASSWORD =
  'ERR AUTH <password> called without any password configured for the default user. ' +
  'Are you sure your configuration is correct?';
const HELLO_WITHOUT_AUTH =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> ' +
  'option can be used to authenticate the client and select the RESP protocol version at the same time';

const OUT_OF_INT_RANGE = 'ERR value is out of range, value must between -2147483648 and 2147483647';

/** Why the database that SELECT names cannot be selected. */
function databaseError(request: Request): string | undefined {
  const index = request.integer(1);
  if (index === undefined) return NOT_AN_INTEGER;
  if (index !== BigInt.asIntN(32, index)) return OUT_OF_INT_RANGE;
  return index === 0n ? undefined : 'ERR DB index is out of range';
}

/** Whether the user in argument `userAt` (0: the default one) has the password in argument `passwordAt`. */
function authenticate({ door, request, client }: CommandContext, userAt: number, passwordAt: number): boolean {
  const isUser = userAt === 0 || request.latin1(userAt) === 'default';
  // Without a secret every password is right, as for a Redis user with `nopass`.
  const principal = isUser ? principalOf(door.secret, request.copy(passwordAt)) : STRANGER;
  const isRight = principal.mayAll;
  if (isRight) {
    client.principal = principal;
  } else {
    client.guessedWrong = door.secret !== undefined;
    door.trail.audit?.({ client: client.peer }, 'RESP wrong secret');
  }
  return isRight;
}

function auth(context: CommandContext): Planned {
  const { door, request, replies } = context;
  if (request.count > 3) return replies.error(SYNTAX_ERROR);
  if (request.count === 2 && door.secret === undefined) return replies.error(NO_PASSWORD);
  const isRight = request.count === 2 ? authenticate(context, 0, 1) : authenticate(context, 1, 2);
  if (!isRight) return replies.error(WRONG_PASSWORD);
  return ok(context);
}

function hello(context: CommandContext): Planned {
  const { door, request, replies, client } = context;
  const version = request.count > 1 ? request.integer(1) : undefined;
  if (request.count > 1 && version === undefined) {
    return replies.error('ERR Protocol version is not an integer or out of range');
  }
  if (version !== undefined && version !== 2n && version !== 3n) {
    return replies.error('NOPROTO unsupported protocol version');
  }
  let name: string | undefined;
  let passwordAt = 0;
  for (let i = 2; i < request.count; i++) {
    const word = request.word(i);
    if (word === 'auth' && i + 2 < request.count) {
      passwordAt = i + 2;
      i += 2;
    } else if (word === 'setname' && i + 1 < request.count) name = request.latin1(++i);
    else return replies.error(`ERR Syntax error in HELLO option '${request.latin1(i)}'`);
  }
  if (passwordAt > 0 && !authenticate(context, passwordAt - 1, passwordAt)) return replies.error(WRONG_PASSWORD);
  if (!client.authenticated) return replies.error(HELLO_WITHOUT_AUTH);
  const error = nameError('Client names', name ?? '');
  if (error !== undefined) return replies.error(error);
  if (name !== undefined) client.name = name;
  return replies.say((writer) => {
    // Only now: the replies before this one are in the protocol before it.
    if (version !== undefined) client.protocol = version === 2n ? 2 : 3;
    writer.protocol = client.protocol;
    writer.map(7);
    writer.bulk('server');
    writer.bulk('redis');
    writer.bulk('version');
    writer.bulk(door.facts.version);
    writer.bulk('proto');
    writer.number(client.protocol);
    writer.bulk('id');
    writer.number(client.id);
    writer.bulk('mode');
    writer.bulk('standalone');
    writer.bulk('role');
    writer.bulk('master');
    writer.bulk('modules');
    writer.array(0);
  });
}

const ping: CommandSpec = command({
  syntax: 'PING [message]',
  summary: '`PONG`, or the message.',
  group: 'connection',
  arity: -1,
  flags: ['fast'],
  handle: ({ request, replies }) => {
    if (request.count > 2) return replies.error(wrongArity(ping));
    if (request.count === 1) return replies.say((writer) => writer.simple('PONG'));
    const message = request.copy(1);
    return replies.say((writer) => writer.bulk(message));
  },
});

function reset(client: Client, { clock, secret }: DoorContext): void {
  client.transaction = undefined;
  client.name = '';
  client.principal = principalOf(secret, undefined);
  client.strangerSinceMs = clock.monotonicMs();
}

export const CONNECTION_COMMANDS: readonly CommandSpec[] = [
  command({
    syntax: 'AUTH [username] password',
    summary: 'Says the secret; the user is `default`.',
    group: 'connection',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth'],
    handle: auth,
  }),
  command({
    syntax: 'HELLO [protocol-version [AUTH username password] [SETNAME name]]',
    summary: 'Selects RESP2 or RESP3, and tells what the server is.',
    since: '6.0.0',
    group: 'connection',
    arity: -1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth'],
    handle: hello,
  }),
  ping,
  command({
    syntax: 'ECHO message',
    summary: 'The message.',
    group: 'connection',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    handle: ({ request, replies }) => {
      const message = request.copy(1);
      return replies.say((writer) => writer.bulk(message));
    },
  }),
  command({
    syntax: 'SELECT index',
    summary: 'There is one database, number 0.',
    group: 'connection',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    immediate: (request) => databaseError(request) !== undefined,
    handle: (context) => {
      const error = databaseError(context.request);
      if (error === undefined) return ok(context);
      // Clients continue after a refusal: updates for another database would be counted in this one.
      context.client.quitting = true;
      return context.replies.error(error);
    },
  }),
  command({
    syntax: 'RESET',
    summary: 'Back to how the connection began: RESP2, no name, no transaction, not authenticated.',
    since: '6.2.0',
    group: 'connection',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth'],
    immediate: always,
    handle: ({ door, replies, client }) => {
      reset(client, door);
      return replies.say((writer) => {
        client.protocol = 2;
        writer.protocol = 2;
        writer.simple('RESET');
      });
    },
  }),
  command({
    syntax: 'QUIT',
    summary: 'Closes the connection when everything before it is answered.',
    group: 'connection',
    arity: -1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth'],
    immediate: always,
    handle: (context) => {
      context.client.quitting = true;
      return ok(context);
    },
  }),
];
