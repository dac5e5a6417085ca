/**
 * A group on its way to the journal: the records it touched, once each however often they changed, and whoever
 * waits for it to be durable. Values are taken from the table when the group is sealed: until then a thousand
 * increments of one counter are one entry.
 *
 * Whether a record is in the group is answered without clearing anything between groups (the sparse set of
 * Briggs and Torczon 1993): a record holds its place, and the group holds the record at that place; only if
 * both agree is it a member.
 */
import type { Chunk } from '../counter/chunk.ts';
import { GROUP_RECORDS_MAX } from '../counter/limits.ts';
import type { GroupBuffer } from '../journal/group.ts';
import { assert } from '../std/assert.ts';
import type { StoredRecord } from './idempotency.ts';

/** Someone other than a chunk who waits for a group: a listing, a flush, a snapshot. */
export interface Waiter {
  readonly durable: () => void;
  readonly failed: () => void;
}

export class Group {
  /** Position in the engine's order of groups; grows by one a group, failed ones included. */
  order = 0;
  /** Given when the group is sealed. */
  sequence = 0n;
  /** The journal's encoding: from the seal until it is written, and if anyone reads the durable stream until it is durable. */
  buffer: GroupBuffer | undefined = undefined;
  /** The records touched: `refs[0, count)`. */
  refs = new Int32Array(16);
  count = 0;
  /** Idempotency records that commit with the group. */
  readonly records: StoredRecord[] = [];
  /** The idempotency horizon moved up to this. */
  horizonMs = 0;
  readonly chunks: Chunk[] = [];
  readonly waiters: Waiter[] = [];
  /** Bytes that the idempotency records will take in the journal. */
  recordBytes = 0;
  /** All its frames are written (not yet durable). */
  written = false;

  /** Nothing in it for the journal. */
  get isEmpty(): boolean {
    return this.count === 0 && this.records.length === 0 && this.horizonMs === 0;
  }

  /** Whether the record that holds `place` is in this group. */
  has(ref: number, place: number): boolean {
    return place < this.count && this.refs[place] === ref;
  }

  /** Adds a record that is not in the group. @returns its place. */
  add(ref: number): number {
    if (this.count === this.refs.length) this.#grow();
    this.refs[this.count] = ref;
    return this.count++;
  }

  reset(order: number): void {
    this.order = order;
    this.sequence = 0n;
    this.buffer = undefined;
    this.count = 0;
    this.records.length = 0;
    this.horizonMs = 0;
    this.chunks.length = 0;
    this.waiters.length = 0;
    this.recordBytes = 0;
    this.written = false;
  }

  #grow(): void {
    assert(this.count < GROUP_RECORDS_MAX, 'a group holds at most GROUP_RECORDS_MAX records');
    const refs = new Int32Array(Math.min(this.refs.length * 4, GROUP_RECORDS_MAX));
    refs.set(this.refs);
    this.refs = refs;
  }
}
