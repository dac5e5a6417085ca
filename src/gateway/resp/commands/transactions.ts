/** MULTI, EXEC, DISCARD: the commands in between become one group, durable together or not at all. */
import { ALL_KEYS, always, type CommandContext, type CommandSpec, command, ok } from '../command.ts';
import type { Planned } from '../replies.ts';
import { Transaction } from '../transaction.ts';

const PART = { group: 'transactions', arity: 1, immediate: always } as const;

function exec(context: CommandContext): Planned {
  const { chunk, replies, request, client } = context;
  const { transaction } = client;
  if (transaction === undefined) return replies.error('ERR EXEC without MULTI');
  client.transaction = undefined;
  if (transaction.spoiled) {
    return replies.error('EXECABORT Transaction discarded because of previous errors.');
  }
  const planned = replies.group(transaction.commands.length);
  const from = chunk.count;
  transaction.replay(request, transaction.buffer ?? request.bytes, (spec) => spec.handle?.(context));
  chunk.transactions.push(from, chunk.count);
  return planned;
}

export const TRANSACTION_COMMANDS: readonly CommandSpec[] = [
  command({
    ...PART,
    syntax: 'MULTI',
    summary: 'Starts a transaction: what follows is queued.',
    since: '1.2.0',
    flags: ['noscript', 'loading', 'stale', 'fast'],
    handle: (context) => {
      if (context.client.transaction !== undefined) {
        return context.replies.error('ERR MULTI calls can not be nested');
      }
      context.client.transaction = new Transaction();
      return ok(context);
    },
  }),
  command({
    ...PART,
    syntax: 'EXEC',
    summary: 'Carries out what is queued, as one group; the replies as an array.',
    since: '1.2.0',
    flags: ['noscript', 'loading', 'stale'],
    handle: exec,
  }),
  command({
    ...PART,
    syntax: 'DISCARD',
    summary: 'Forgets what is queued.',
    since: '2.0.0',
    flags: ['noscript', 'loading', 'stale', 'fast'],
    handle: (context) => {
      if (context.client.transaction === undefined) {
        return context.replies.error('ERR DISCARD without MULTI');
      }
      context.client.transaction = undefined;
      return ok(context);
    },
  }),
  command({
    ...PART,
    syntax: 'WATCH key [key ...]',
    summary: 'Refused: use INCREX or SET with their conditions.',
    since: '2.2.0',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast'],
    keys: ALL_KEYS,
    handle: ({ replies, client }) =>
      replies.error(
        client.transaction === undefined
          ? 'ERR WATCH is not supported: use INCREX or SET with their conditions'
          : 'ERR WATCH inside MULTI is not allowed',
      ),
  }),
  command({
    ...PART,
    syntax: 'UNWATCH',
    summary: 'Taken without effect: nothing is watched.',
    since: '2.2.0',
    flags: ['noscript', 'loading', 'stale', 'fast'],
    immediate: () => false,
    handle: ok,
  }),
];
