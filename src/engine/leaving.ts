/**
 * Deleted records leave the table when their deletion is durable: a few per turn, because there can be many at once.
 */
import type { Committer } from './committer.ts';
import type { Records } from './records.ts';
import { SLOW_STEPS, type Turns } from './turns.ts';

/** About 2 ms. */
const LEAVE_MAX = 2_000;

export class Leaving {
  readonly #records: Records;
  readonly #committer: Committer;
  readonly #turns: Turns;
  /** Records whose deletion became durable. */
  readonly #refs: number[] = [];
  #isComing = false;

  constructor(records: Records, committer: Committer, turns: Turns) {
    this.#records = records;
    this.#committer = committer;
    this.#turns = turns;
  }

  /** The state of these records is durable. Deleted ones are among those that a group encodes late. */
  settle(refs: readonly number[]): void {
    for (const ref of refs) if (this.#records.isDeleted(ref)) this.#refs.push(ref);
    if (this.#refs.length <= LEAVE_MAX) this.#leave(LEAVE_MAX);
    else this.#goOn();
  }

  /** Removes all of them now. */
  finish(): void {
    this.#leave(this.#refs.length);
  }

  #goOn(): void {
    if (this.#refs.length === 0 || this.#isComing) return;
    this.#isComing = true;
    this.#turns.run(() => {
      this.#isComing = false;
      // Records in doubt stay. The group that repairs them comes here again.
      if (this.#committer.isFailing) return 1;
      this.#leave(LEAVE_MAX);
      this.#goOn();
      return LEAVE_MAX * SLOW_STEPS;
    });
  }

  /** The record's current state decides, not the one when it was queued. */
  #leave(count: number): void {
    for (const ref of this.#refs.splice(Math.max(0, this.#refs.length - count))) this.#records.leave(ref);
  }
}
