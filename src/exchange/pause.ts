/** Waiting, and coming again later. */
import type { Clock, Random, Timer } from '../host/host.ts';

/** Resolves after `ms`. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(ms, resolve);
  });
}

const ASK_AGAIN_MS = 5;

/** Resolves when it is true. For one who waits, not for many: it is asked again and again. */
export async function becomesTrue(clock: Clock, isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await pause(clock, ASK_AGAIN_MS);
}

/** The pauses of loops that may have to end at once. */
export class Pauses {
  readonly #clock: Clock;
  readonly #waiting = new Map<Timer, () => void>();
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves after `ms`, or when all pauses are over. */
  take(ms: number): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#clock.schedule(ms, () => {
        this.#waiting.delete(timer);
        resolve();
      });
      this.#waiting.set(timer, resolve);
    });
  }

  /** Ends those that are taken, and all later ones. */
  end(): void {
    this.#isOver = true;
    this.skip();
  }

  /** Ends those that are taken. */
  skip(): void {
    for (const [timer, resolve] of this.#waiting) {
      timer.cancel();
      resolve();
    }
    this.#waiting.clear();
  }
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
