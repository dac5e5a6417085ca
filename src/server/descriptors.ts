/** How many connections the process can hold, from its limit of open files. */
import { CONNECTIONS_MAX } from '../counter/limits.ts';
import { processLimit } from '../host/node/limits.ts';

/** For the journal and its next segment, a snapshot, the store's connections, the listeners, and Node itself. */
const RESERVED = 128;

/**
 * Connections of all doors together, so that descriptors for everything else remain.
 * @param descriptors by default the soft limit, which Node raises to the hard one at its start
 */
export function connectionsMax(descriptors: number | undefined = processLimit('Max open files')): number {
  const wanted = 2 * CONNECTIONS_MAX;
  if (descriptors === undefined) return wanted;
  // With a very low limit half of it: better few clients than a journal that cannot be written.
  return Math.min(wanted, Math.max(descriptors - RESERVED, Math.floor(descriptors / 2)));
}
