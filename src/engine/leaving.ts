/** Deleted records leave the table when their deletion is durable: a few in a turn, for there can be many at once. */
import type { Committer } from './committer.ts';
import type { Records } from './records.ts';
import { SLOW_STEPS, type Turns } from './turns.ts';

/** About 2 ms. */
const LEAVE_MAX = 2_000;

export class Leaving {
  readonly #records: Records;
  readonly #committer: Committer;
  readonly #turns: Turns;
  /** Whose deletion was durable once. */
  readonly #refs: number[] = [];
  #isComing = false;

  constructor(records: Records, committer: Committer, turns: Turns) {
    this.#records = records;
    this.#committer = committer;
    this.#turns = turns;
  }

  /** What these records are is durable. Deleted ones are among those that a group encodes late. */
  settle(refs: readonly number[]): void {
    for (const ref of refs) if (this.#records.isDeleted(ref)) this.#refs.push(ref);
    if (this.#refs.length <= LEAVE_MAX) this.#leave(LEAVE_MAX);
    else this.#goOn();
  }

  /** All of them, now: nothing waits any more. */
  finish(): void {
    this.#leave(this.#refs.length);
  }

  #goOn(): void {
    if (this.#refs.length === 0 || this.#isComing) return;
    this.#isComing = true;
    this.#turns.run(() => {
      this.#isComing = false;
      // What is in doubt stays where it is. The group that repairs it comes here again.
      if (this.#committer.isFailing) return 1;
      this.#leave(LEAVE_MAX);
      this.#goOn();
      return LEAVE_MAX * SLOW_STEPS;
    });
  }

  /** What became of a record since it came here counts. */
  #leave(count: number): void {
    for (const ref of this.#refs.splice(Math.max(0, this.#refs.length - count))) this.#records.leave(ref);
  }
}
