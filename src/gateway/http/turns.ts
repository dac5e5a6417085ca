/**
 * Turns of the event loop for work that takes long: a listing, a large batch. Such work goes in steps, and all requests
 * together get one step a turn, so that everybody else is served in between however many of them there are.
 */
import type { Clock } from '../../host/host.ts';

export class Turns {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves in a turn in which nobody else has a step. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) this.#clock.soon(this.#give);
    });
  }

  readonly #give = (): void => {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#clock.soon(this.#give);
  };
}
