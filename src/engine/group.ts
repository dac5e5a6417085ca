/**
 * A group on its way to the journal: the records it touched, once each however often they changed, and whoever
 * waits for it to be durable. A thousand increments of one counter are one entry: it is written into the
 * journal's encoding when the group first touches the record, whose bytes are in the cache just then, and changed
 * there from then on. Records that are more than a value (deleted ones, those with a deadline) are encoded when
 * the group is sealed; a reader takes what comes last, so it does not matter if they have such an entry too.
 *
 * Whether a record is in the group is answered without clearing anything between groups (the sparse set of
 * Briggs and Torczon 1993): a record holds its place, and the group holds the record at that place; only if
 * both agree is it a member.
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

/** Records that are encoded when it is sealed, and bytes of a group, with which it takes no more: then sealing and writing are short. */
const LATE_MAX = 16_384;
const BYTES_USUAL = 8 * 1024 * 1024;
const NO_ENTRY = -1;
const LATE = -2;

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
  /** The journal's encoding: until it is written, and if anyone reads the durable stream until it is durable. */
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
  /** Births of the idempotency keys that were forgotten for it. */
  readonly forgotten = new Births();
  readonly chunks: Chunk[] = [];
  readonly waiters: Waiter[] = [];
  /** Bytes that the idempotency records will take in the journal. */
  recordBytes = 0;
  /** All its frames are written (not yet durable). */
  written = false;
  /** Of the encoding, when it is written. */
  bytes = 0;

  /** Nothing in it for the journal. */
  get isEmpty(): boolean {
    return this.count === 0 && this.records.length === 0 && this.forgotten.spans.length === 0;
  }

  /** Whether it takes a chunk of so many records more. */
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

  /** Tells the journal the state of the record at `place`. */
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

  /** The journal's encoding, of a group that is not written yet. */
  get encoding(): GroupBuffer {
    assert(this.buffer !== undefined, 'a group keeps its encoding until it is written');
    return this.buffer;
  }

  /** Tells the chunks that wait for it that it is durable as the mode understands that. @returns how many */
  tell(): number {
    const told = this.chunks.length;
    for (const chunk of this.chunks) chunk.complete();
    this.chunks.length = 0;
    return told;
  }

  /** Makes it a new group, which begins in `buffer`. */
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
