/**
 * Limits the work in one turn of the event loop, so that no request waits long for the work of others: the rest waits
 * for the next turn. A step is the cheapest command, some 0.1 us.
 *
 * Invariant: while less than half of a turn is left, the next one is scheduled.
 */
import type { Clock } from '../host/host.ts';

/** A turn stays below 50 ms even if the largest single piece of work starts at its half. */
export const TURN_STEPS = 60_000;
/** A command that is more than a plain add, or creates a counter. */
export const SLOW_STEPS = 8;
/** An idempotency key that is remembered. */
const KEY_STEPS = 24;

export class Turns {
  readonly #clock: Clock;
  /** Called when a turn after a full one begins. */
  readonly #begun: () => void;
  readonly #waiting: (() => number)[] = [];
  #left = TURN_STEPS;
  #isNextComing = false;

  constructor(clock: Clock, begun: () => void) {
    this.#clock = clock;
    this.#begun = begun;
  }

  /** Whether work of up to this many steps may begin in this turn. */
  takes(steps: number): boolean {
    return this.#left >= Math.min(steps, TURN_STEPS / 2);
  }

  /** The same for this many commands of any kind. */
  takesCommands(count: number): boolean {
    return this.takes(count * (1 + SLOW_STEPS));
  }

  /**
   * Records that this many commands were applied, how many were not plain adds, and how many keys are remembered for
   * them.
   */
  spendCommands(count: number, slow: number, keys: number): void {
    this.spend(count + slow * SLOW_STEPS + keys * KEY_STEPS);
  }

  /** Records that this many steps were done. */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left >= TURN_STEPS / 2 || this.#isNextComing) return;
    this.#isNextComing = true;
    this.#clock.soon(() => this.#begin());
  }

  /**
   * Runs a piece of work now or in a later turn, in order. @param work never throws; it returns the steps that it took.
   */
  run(work: () => number): void {
    if (this.#waiting.length === 0 && this.takes(1)) this.spend(work());
    else this.#waiting.push(work);
  }

  /** Resolves in a turn with room, and takes this many steps of it; in order. */
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
    // One of these first, then chunks: neither blocks the other, no matter how many there are.
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
