/**
 * Turns of the event loop for work that takes long: a listing, a large batch, a large answer. Such work goes in steps,
 * and the steps of all requests together get a few milliseconds of a turn, so that everybody else is served in between
 * however many of them there are.
 */
import type { Clock } from '../../host/host.ts';

/** What takes long, step by step. */
export type Work<T> = Generator<void, T>;

const STEPS_MS = 5;

export class Turns {
  readonly #clock: Clock;
  /** Each returns whether what follows it will take the rest of its turn. */
  readonly #steps: (() => boolean)[] = [];
  #isAsked = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does a step when it is its turn. */
  later(step: () => void): void {
    this.#add(() => {
      step();
      return false;
    });
  }

  /** Resolves in a turn in which nobody has a step after this one. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#add(() => {
        resolve();
        return true;
      });
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
    else this.later(() => this.run(work, done));
  }

  #add(step: () => boolean): void {
    this.#steps.push(step);
    this.#ask();
  }

  #ask(): void {
    if (this.#isAsked || this.#steps.length === 0) return;
    this.#isAsked = true;
    this.#clock.soon(this.#give);
  }

  readonly #give = (): void => {
    const endMs = this.#clock.monotonicMs() + STEPS_MS;
    while (this.#steps.shift()?.() === false && this.#clock.monotonicMs() < endMs);
    this.#isAsked = false;
    this.#ask();
  };
}
