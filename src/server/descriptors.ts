/** How many connections the process can hold, from its limit of open files. */
import { readFileSync } from 'node:fs';
import { CONNECTIONS_MAX } from '../counter/limits.ts';

/** For the journal and its next segment, a snapshot, the store's connections, the listeners, and Node itself. */
const RESERVED = 128;

/** Connections of all doors together, so that descriptors for everything else remain. */
export function connectionsMax(descriptors: number | undefined = descriptorsMax()): number {
  const wanted = 2 * CONNECTIONS_MAX;
  if (descriptors === undefined) return wanted;
  // With a very low limit half of it: better few clients than a journal that cannot be written.
  return Math.min(wanted, Math.max(descriptors - RESERVED, Math.floor(descriptors / 2)));
}

/** Node raises the soft limit to the hard one at its start, so this is what there is. Undefined where Linux's /proc is not. */
function descriptorsMax(): number | undefined {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}
