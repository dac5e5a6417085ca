/**
 * A group on its way to the journal: the records it touched, each once no matter how often it changed, and the waiters
 * for its durability. A thousand increments of one counter are one entry: it is encoded when the group first touches
 * the record, whose bytes are in the cache at that moment, and updated in place from then on. Records with more than a
 * value (deletions, deadlines) are encoded when the group is sealed; a reader uses the last entry, so an earlier value
 * entry does not matter.
 *
 * Membership of a record is tested without clearing anything between groups (the sparse set of Briggs and Torczon
 * 1993): a record holds its place, and the group holds the record at that place; only if both agree is it a member.
 */
import type { Chunk } from '../counter/chunk.ts';
import { GROUP_IDEMPOTENCY_BYTES_MAX, GROUP_RECORDS_MAX } from '../counter/limits.ts';
import { changeValue, putValue } from '../journal/entries/value.ts';
import type { GroupBuffer } from '../journal/group.ts';
import { assert } from '../std/assert.ts';
import { grown } from '../std/columns.ts';
import { Births } from './births.ts';
import type { StoredRecord } from './idempotency.ts';
import { KEY_LANE, Meta, Slab } from './slab.ts';

/** Limits of a group, in records encoded at the seal and in bytes, so that sealing and writing are short. */
const LATE_MAX = 16_384;
const BYTES_USUAL = 8 * 1024 * 1024;
const NO_ENTRY = -1;
const LATE = -2;

/** A waiter for a group that is not a chunk: a listing, a flush, a snapshot. */
export interface Waiter {
  readonly durable: () => void;
  readonly failed: () => void;
}

export class Group {
  /** Position in the engine's order of groups; grows by one a group, failed ones included. */
  order = 0;
  /** Given when the group is sealed. */
  sequence = 0n;
  /** The journal's encoding: kept until it is written or, if the durable stream has readers, until it is durable. */
  buffer: GroupBuffer | undefined = undefined;
  /** The records touched: `refs[0, count)`. A record's position in it is its place. */
  refs = new Int32Array(16);
  count = 0;
  /** Per place where the record's entry is in `buffer`, `NO_ENTRY`, or `LATE`. */
  #entries = new Int32Array(16);
  /** Records that are encoded when the group is sealed. */
  readonly late: number[] = [];
  /** Idempotency records that commit with the group. */
  readonly records: StoredRecord[] = [];
  /** Creation times of the idempotency keys that were forgotten for it. */
  readonly forgotten = new Births();
  readonly chunks: Chunk[] = [];
  readonly waiters: Waiter[] = [];
  /** Bytes that the idempotency records will take in the journal. */
  recordBytes = 0;
  /** All its frames are written (not yet durable). */
  written = false;
  /** Of the encoding, when it is written. */
  bytes = 0;

  /** Whether it has nothing for the journal. */
  get isEmpty(): boolean {
    return this.count === 0 && this.records.length === 0 && this.forgotten.spans.length === 0;
  }

  /** Whether it has room for a chunk with this many records. */
  takes(records: number): boolean {
    const isShort = this.late.length < LATE_MAX && this.encoding.bytes < BYTES_USUAL;
    return isShort && this.count + records <= GROUP_RECORDS_MAX && this.recordBytes < GROUP_IDEMPOTENCY_BYTES_MAX;
  }

  /** Whether the record that holds `place` is in this group. */
  has(ref: number, place: number): boolean {
    return place < this.count && this.refs[place] === ref;
  }

  /** Adds a record that is not in the group. @returns its place. */
  add(ref: number): number {
    if (this.count === this.refs.length) this.#grow();
    this.refs[this.count] = ref;
    this.#entries[this.count] = NO_ENTRY;
    return this.count++;
  }

  /** Writes the state of the record at `place` into the journal's encoding. */
  put(place: number, slab: Slab): void {
    const entry = this.#entries[place];
    if (entry === LATE) return;
    const ref = this.refs[place];
    const lanes = slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    const meta = lanes[at + 3];
    if ((meta & (Meta.deleted | Meta.deadline)) !== 0) {
      this.#entries[place] = LATE;
      this.late.push(ref);
    } else if (entry === NO_ENTRY) {
      this.#entries[place] = putRecordValue(this.encoding, lanes, at);
    } else {
      changeValue(this.encoding, entry, lanes[at], lanes[at + 1], lanes[at + 2]);
    }
  }

  /** The journal's encoding of a group that is not written yet. */
  get encoding(): GroupBuffer {
    assert(this.buffer !== undefined, 'a group keeps its encoding until it is written');
    return this.buffer;
  }

  /** Completes the waiting chunks when the group is durable as the mode requires. @returns how many */
  tell(): number {
    const told = this.chunks.length;
    for (const chunk of this.chunks) chunk.complete();
    this.chunks.length = 0;
    return told;
  }

  /** Resets it to a new group, which begins in `buffer`. */
  reset(order: number, buffer: GroupBuffer): void {
    this.order = order;
    this.sequence = 0n;
    this.buffer = buffer;
    buffer.begin();
    this.count = 0;
    this.late.length = 0;
    this.records.length = 0;
    this.forgotten.clear();
    this.chunks.length = 0;
    this.waiters.length = 0;
    this.recordBytes = 0;
    this.written = false;
    this.bytes = 0;
  }

  #grow(): void {
    assert(this.count < GROUP_RECORDS_MAX, 'a group holds at most GROUP_RECORDS_MAX records');
    const length = Math.min(this.refs.length * 4, GROUP_RECORDS_MAX);
    this.refs = grown(this.refs, new Int32Array(length));
    this.#entries = grown(this.#entries, new Int32Array(length));
  }
}

/** The record's value. @returns where it is in the buffer. */
export function putRecordValue(buffer: GroupBuffer, lanes: Int32Array, at: number): number {
  const meta = lanes[at + 3];
  const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
  const nameLength = meta & Meta.nameLengthMask;
  return putValue(buffer, lanes[at], lanes[at + 1], lanes[at + 2], kind, nameLength, lanes, at + KEY_LANE);
}
