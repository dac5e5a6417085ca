/**
 * All or nothing: the previous states of records that an atomic chunk changes are kept, and restored if a later command
 * of the chunk is refused. The intermediate state is never visible: a chunk is applied in one turn, and its group is
 * not sealed before.
 */
import type { Records } from './records.ts';
import { Meta, Slab } from './slab.ts';

interface Before {
  readonly ref: number;
  readonly low: number;
  readonly high: number;
  readonly updatedAt: number;
  readonly existed: boolean;
  readonly deadlineMs: number | undefined;
}

export class Undo {
  readonly #records: Records;
  /** Oldest first; a record that is changed again has several entries. */
  readonly #before: Before[] = [];

  constructor(records: Records) {
    this.#records = records;
  }

  /** Before a command: the record it is about to change, 0 for one that does not exist yet. */
  remember(ref: number): void {
    if (ref === 0) return;
    const lanes = this.#records.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    this.#before.push({
      ref,
      low: lanes[at],
      high: lanes[at + 1],
      updatedAt: lanes[at + 2],
      existed: (lanes[at + 3] & Meta.deleted) === 0,
      deadlineMs: this.#records.deadlines.get(ref),
    });
  }

  /** After a command: the record that it created, 0 for none. */
  created(ref: number): void {
    if (ref === 0) return;
    this.#before.push({ ref, low: 0, high: 0, updatedAt: 0, existed: false, deadlineMs: undefined });
  }

  restore(): void {
    for (let i = this.#before.length - 1; i >= 0; i--) this.#records.putBack(this.#before[i]);
  }
}
