/** Waiting, and coming again later. */
import type { Clock, Random } from '../host/host.ts';

/** Resolves after `ms`. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(ms, resolve);
  });
}

/** Delays that double from failure to failure, with jitter, so that replicas do not come again all at once. */
export class Backoff {
  readonly #random: Random;
  readonly #leastMs: number;
  readonly #mostMs: number;
  #failures = 0;

  constructor(random: Random, leastMs: number, mostMs: number) {
    this.#random = random;
    this.#leastMs = leastMs;
    this.#mostMs = mostMs;
  }

  /** After a failure: how long to wait, ms. From half of the delay to all of it. */
  next(): number {
    const delayMs = Math.min(this.#leastMs * 2 ** this.#failures++, this.#mostMs);
    return (delayMs / 2) * (1 + (this.#random.bytes(1)[0] as number) / 256);
  }

  reset(): void {
    this.#failures = 0;
  }
}
