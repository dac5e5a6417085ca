/** A fault of the program, which must end the process and not stay in a promise or with whoever called. */
import type { Clock } from './host.ts';

/** Throws it in a turn of its own, where nobody catches it. */
export function throwSoon(clock: Clock, fault: unknown): void {
  clock.soon(() => {
    throw fault;
  });
}
