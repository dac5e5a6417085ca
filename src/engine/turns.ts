/**
 * How much is done in one turn of the event loop, so that nobody waits long for what others ask for at once: what is beyond it
 * waits for the next turn. A step is the cheapest command, some 0.1 us.
 *
 * Invariant: while less than half of a turn is left, the next one is on its way.
 */
import type { Clock } from '../host/host.ts';

/** With the largest single piece of work on top of half of it a turn stays below 50 ms. */
export const TURN_STEPS = 60_000;
/** A command that is more than a plain add, or makes a counter. */
export const SLOW_STEPS = 8;
/** An idempotency key that is remembered. */
const KEY_STEPS = 24;

export class Turns {
  readonly #clock: Clock;
  /** Called when a turn begins that follows a full one. */
  readonly #begun: () => void;
  readonly #waiting: (() => number)[] = [];
  #left = TURN_STEPS;
  #isNextComing = false;

  constructor(clock: Clock, begun: () => void) {
    this.#clock = clock;
    this.#begun = begun;
  }

  /** Whether work of up to so many steps may begin in this turn. */
  takes(steps: number): boolean {
    return this.#left >= Math.min(steps, TURN_STEPS / 2);
  }

  /** The same for so many commands of any sort. */
  takesCommands(count: number): boolean {
    return this.takes(count * (1 + SLOW_STEPS));
  }

  /** So many commands have been applied, of which some were no plain adds, and so many keys are remembered for them. */
  spendCommands(count: number, slow: number, keys: number): void {
    this.spend(count + slow * SLOW_STEPS + keys * KEY_STEPS);
  }

  /** So many have been done. */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left >= TURN_STEPS / 2 || this.#isNextComing) return;
    this.#isNextComing = true;
    this.#clock.soon(() => this.#begin());
  }

  /** Does a piece of work, now or in a later turn; in order. @param work never throws; it returns the steps that it took. */
  run(work: () => number): void {
    if (this.#waiting.length === 0 && this.takes(1)) this.spend(work());
    else this.#waiting.push(work);
  }

  /** Resolves in a turn that has room, and takes so many steps of it; in order. */
  next(steps: number): Promise<void> {
    return new Promise((resolve) => {
      this.run(() => {
        resolve();
        return steps;
      });
    });
  }

  #begin(): void {
    this.#isNextComing = false;
    this.#left = TURN_STEPS;
    // One of these first, and then chunks: neither holds the other up, however many there are.
    this.#runWaiting(1);
    this.#begun();
    this.#runWaiting(this.#waiting.length);
  }

  #runWaiting(count: number): void {
    let done = 0;
    while (done < count && done < this.#waiting.length && this.takes(1)) this.spend(this.#waiting[done++]());
    this.#waiting.splice(0, done);
  }
}
