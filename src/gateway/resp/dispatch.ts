/** Dispatches a request to its command: looked up, checked, then queued or executed. */
import { ERRORS } from '../../counter/errors.ts';
import { audit } from './audit.ts';
import { type CommandContext, type CommandSpec, wrongArity } from './command.ts';
import { REFUSED_COMMANDS } from './commands/refused.ts';
import { COMMANDS } from './commands/table.ts';
import type { Planned } from './replies.ts';
import type { Request } from './request.ts';

/** The command or subcommand that the request names; a text is the error that it gets. */
export function findCommand(request: Request): CommandSpec | string {
  const name = request.word(0);
  const spec = COMMANDS.get(name);
  if (spec === undefined) return REFUSED_COMMANDS.get(name) ?? unknownCommand(request);
  if (spec.subcommands === undefined || request.count === 1) return checkArity(spec, request);
  const part = spec.subcommands.get(request.word(1));
  if (part !== undefined) return checkArity(part, request);
  const unknown = cText(request.latin1(1), 128);
  return `ERR unknown subcommand '${unknown}'. Try ${spec.name.toUpperCase()} HELP.`;
}

/**
 * Whether this is a request line or header of HTTP: a web page made a browser post to this port, and the following
 * input may look like commands. Redis closes such connections, too.
 */
export function isHttp(request: Request): boolean {
  if (request.count === 0) return false;
  const word = request.word(0);
  return word === 'post' || word === 'host:';
}

/**
 * Plans the reply to the request in the context; `found` is the result of `findCommand`.
 * @returns for a slow command, the promise that its reply is planned.
 */
export function dispatch(context: CommandContext, found: CommandSpec | string): Promise<Planned> | undefined {
  const { request, replies, client } = context;
  if (typeof found === 'string') return reject(context, found);
  if (!client.principal.may(found.name) && !found.flags.includes('no_auth')) {
    return reject(context, 'NOAUTH Authentication required.');
  }
  audit(context, found);
  const { transaction } = client;
  if (transaction === undefined || found.immediate(request)) {
    found.handle?.(context);
    return found.perform?.(context);
  }
  if (found.flags.includes('no_multi')) return reject(context, 'ERR Command not allowed inside a transaction');
  if (!transaction.add(found, request)) return reject(context, ERRORS.atomic_too_large.resp);
  replies.say((writer) => writer.simple('QUEUED'));
  return undefined;
}

/** An error that also spoils an open transaction, and ends it when it is EXEC that is refused. */
function reject({ replies, request, client }: CommandContext, error: string): undefined {
  if (request.word(0) === 'exec') {
    client.transaction = undefined;
    replies.error(`EXECABORT Transaction discarded because of: ${error.replace(/^ERR /, '')}`);
    return;
  }
  if (client.transaction !== undefined) client.transaction.spoiled = true;
  replies.error(error);
}

function checkArity(spec: CommandSpec, request: Request): CommandSpec | string {
  const fits = spec.arity < 0 ? request.count >= -spec.arity : request.count === spec.arity;
  return fits ? spec : wrongArity(spec);
}

/** Redis shows the first 128 characters of the name and about as much of the arguments. */
function unknownCommand(request: Request): string {
  let shown = '';
  for (let i = 1; i < request.count && shown.length < 128; i++) {
    shown += `'${cText(request.latin1(i), 128 - shown.length)}' `;
  }
  return `ERR unknown command '${cText(request.latin1(0), 128)}', with args beginning with: ${shown}`;
}

/** What C's `%.*s` prints of a text: as far as the first NUL, at most `length`. */
function cText(text: string, length: number): string {
  const nul = text.indexOf('\0');
  return text.slice(0, nul < 0 ? length : Math.min(nul, length));
}
