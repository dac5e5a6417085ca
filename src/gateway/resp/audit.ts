/** Audit lines of RESP commands that change counters other than by counting, or administer. */
import type { CommandContext, CommandSpec } from './command.ts';

const COUNTING = new Set(['incr', 'decr', 'incrby', 'decrby', 'increx', 'tally.add']);

/** Logs the command if it is one of these and auditing is on. */
export function audit({ door, request, client }: CommandContext, { name, flags, keys }: CommandSpec): void {
  const write = door.trail.audit;
  if (write === undefined) return;
  if (!flags.includes('admin') && (!flags.includes('write') || COUNTING.has(name))) return;
  const [first, last, step] = keys;
  const more = last === -1 ? Math.ceil((request.count - first) / step) - 1 : 0;
  write(
    {
      client: client.peer,
      command: name,
      ...(first > 0 && { counter: request.text(first) }),
      ...(more > 0 && { more }),
    },
    'RESP audit',
  );
}
