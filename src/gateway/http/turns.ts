/**
 * Turns of the event loop for work that takes long: a listing, a large batch. Such work goes in steps, and all requests
 * together get one step a turn, so that everybody else is served in between however many of them there are.
 */
import type { Clock } from '../../host/host.ts';

/** What takes long, step by step. */
export type Work<T> = Generator<void, T>;

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

  /**
   * Does work whose every step but the last ends with a `yield`, the first one at once.
   * @param done may throw as little as any callback of the event loop.
   */
  run<T>(work: Work<T>, done: (error: unknown, result: T | undefined) => void): void {
    let step: IteratorResult<void, T>;
    try {
      step = work.next();
    } catch (error) {
      done(error, undefined);
      return;
    }
    if (step.done === true) done(undefined, step.value);
    else void this.next().then(() => this.run(work, done));
  }

  readonly #give = (): void => {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#clock.soon(this.#give);
  };
}
