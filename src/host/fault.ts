/** A program fault, which must end the process rather than stay in a promise or reach the caller. */
import type { Clock } from './host.ts';

/** Rethrows the fault from `setImmediate`, so that it cannot be caught and the process dies. */
export function throwSoon(clock: Clock, fault: unknown): void {
  clock.soon(() => {
    throw fault;
  });
}
