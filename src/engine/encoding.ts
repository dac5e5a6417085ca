/** Encodes records as journal entries: for a group, the touched records; for a snapshot, all records in order. */
import { Block, putBlocks } from '../journal/entries/blocks.ts';
import { putDeadline } from '../journal/entries/deadline.ts';
import { putDelete } from '../journal/entries/delete.ts';
import { putForgotten } from '../journal/entries/forgotten.ts';
import { putIdempotency } from '../journal/entries/idempotency.ts';
import { putImportId } from '../journal/entries/import-id.ts';
import { putIndexLeaf } from '../journal/entries/index-leaf.ts';
import { putTable } from '../journal/entries/table.ts';
import type { GroupBuffer } from '../journal/group.ts';
import { SNAPSHOT_PART_BYTES, type SnapshotSource } from '../journal/snapshot.ts';
import { assert } from '../std/assert.ts';
import type { Births } from './births.ts';
import { type Group, putRecordValue } from './group.ts';
import type { IdempotencyStore, StoredRecord } from './idempotency.ts';
import type { Records } from './records.ts';
import { FIRST_UNIT, KEY_LANE, Meta, Slab, WALK_BLOCKS_MAX } from './slab.ts';

/** If more of the table is free, records are encoded: copying a table that has shrunk would leave a large file. */
const FREE_PART_MAX = 0.25;
/** An entry with a deadline, about. */
const DEADLINE_BYTES = 48;
const NO_HASH_KEY = new Uint8Array(8);

/** Adds the missing entries to a group that is being sealed. */
export function completeGroup(group: Group, records: Records): void {
  const buffer = group.encoding;
  for (const ref of group.late) encodeRecord(buffer, records, ref);
  for (const record of group.records) encodeKey(buffer, record);
  encodeForgotten(buffer, group.forgotten);
}

function encodeKey(buffer: GroupBuffer, record: StoredRecord): void {
  if (record.scope === 'import') putImportId(buffer, record.id);
  else putIdempotency(buffer, record);
}

function encodeForgotten(buffer: GroupBuffer, { spans }: Births): void {
  for (const { from, to } of spans) putForgotten(buffer, from, to);
}

function encodeRecord(buffer: GroupBuffer, records: Records, ref: number): void {
  const lanes = records.slab.lanes[Slab.piece(ref)];
  const at = Slab.lane(ref);
  const meta = lanes[at + 3];
  if ((meta & Meta.deleted) !== 0) {
    putDelete(buffer, records.kind(ref), meta & Meta.nameLengthMask, lanes, at + KEY_LANE);
    return;
  }
  putRecordValue(buffer, lanes, at);
  if ((meta & Meta.deadline) !== 0) encodeDeadline(buffer, records, ref);
}

function encodeDeadline(buffer: GroupBuffer, records: Records, ref: number): void {
  const lanes = records.slab.lanes[Slab.piece(ref)];
  const nameLength = records.meta(ref) & Meta.nameLengthMask;
  const deadlineMs = records.deadlines.get(ref) ?? 0;
  putDeadline(buffer, deadlineMs, records.kind(ref), nameLength, lanes, Slab.lane(ref) + KEY_LANE);
}

/**
 * The parts of a snapshot, taken one by one between other work. A record that changes after its part was taken is in a
 * group after the snapshot's begin, so replaying those groups brings it up to date.
 */
export class SnapshotParts implements SnapshotSource {
  readonly #records: Records;
  readonly #keys: IdempotencyStore;
  /** Where the next part begins; 0 behind the last record. */
  #position = FIRST_UNIT;
  #idempotency: Iterator<StoredRecord> | undefined;
  #isHeadTold = false;
  /** Blocks as they lie, or records. */
  readonly #copiesBlocks: boolean;
  readonly #hasIndex: boolean;
  /** Of the table, when this began. */
  readonly #changes: number;
  /** The place in the directory of the index where the next part begins. */
  #indexPlace = 0;
  /** Counters written so far. */
  counters = 0;

  /** @param withIndex the table no longer changes: the index that a start would build is copied, too. */
  constructor(records: Records, keys: IdempotencyStore, withIndex = false) {
    this.#records = records;
    this.#keys = keys;
    const { slab, table } = records;
    this.#copiesBlocks = slab.freeUnits < slab.frontier * FREE_PART_MAX;
    // A deleted record that is not settled is in the index but would not be among the blocks.
    this.#hasIndex = withIndex && this.#copiesBlocks && records.count === table.count;
    this.#changes = table.changes;
  }

  next(part: GroupBuffer): boolean {
    const isUnchanged = this.#records.table.changes === this.#changes;
    assert(isUnchanged || !this.#hasIndex, 'a table does not change while it is copied with its index');
    if (!this.#isHeadTold) this.#putHead(part);
    if (this.#hasIndex && this.#copyIndex(part)) return true;
    if (this.#position !== 0) {
      const behind = this.#copiesBlocks ? this.#copyBlocks(part, this.#position) : this.#encode(part, this.#position);
      this.#position = behind < this.#records.slab.frontier ? behind : 0;
      if (this.#position !== 0) return true;
    }
    // Only after the last record: records of later keys are in groups after the begin.
    this.#idempotency ??= this.#keys.records();
    while (part.bytes < SNAPSHOT_PART_BYTES) {
      const next = this.#idempotency.next();
      if (next.done === true) {
        // Written last, so that it includes records dropped while the snapshot was being written.
        encodeForgotten(part, this.#keys.forgotten);
        return false;
      }
      encodeKey(part, next.value);
    }
    return true;
  }

  #putHead(part: GroupBuffer): void {
    this.#isHeadTold = true;
    if (!this.#copiesBlocks) return;
    const { table } = this.#records;
    putTable(part, {
      records: table.count,
      indexDepth: this.#hasIndex ? table.index.depth : 0,
      hashKey: this.#hasIndex ? table.hashKey : NO_HASH_KEY,
    });
  }

  /** Leaves of the index, to the end of the part. @returns whether the part is full */
  #copyIndex(part: GroupBuffer): boolean {
    const { table } = this.#records;
    while (this.#indexPlace < 2 ** table.index.depth) {
      if (part.bytes >= SNAPSHOT_PART_BYTES) return true;
      const leaf = table.index.leafAt(this.#indexPlace);
      putIndexLeaf(part, leaf);
      this.#indexPlace = leaf.next;
    }
    return false;
  }

  /**
   * Blocks as they lie, to the end of the part or of their piece; then the deadlines. @returns the position behind
   * them.
   */
  #copyBlocks(part: GroupBuffer, from: number): number {
    const { slab } = this.#records;
    const lanes = slab.lanes[Slab.piece(from)];
    const end = slab.endOfPiece(from);
    const withDeadline: number[] = [];
    let at = from;
    for (let bytes = part.bytes; at < end && bytes < SNAPSHOT_PART_BYTES; ) {
      const behind = slab.behind(at);
      bytes += (behind - at) * Block.unitBytes;
      if (slab.isRecord(at) && (this.#records.meta(at) & Meta.deleted) === 0) {
        this.counters++;
        if ((this.#records.meta(at) & Meta.deadline) !== 0) {
          withDeadline.push(at);
          bytes += DEADLINE_BYTES;
        }
      }
      at = behind;
    }
    if (at === from) return at;
    putBlocks(part, lanes, Slab.lane(from), Slab.lane(from) + (at - from) * Block.unitWords);
    for (const ref of withDeadline) encodeDeadline(part, this.#records, ref);
    return at;
  }

  /** Records as entries, one by one. @returns the position behind them. */
  #encode(part: GroupBuffer, from: number): number {
    const { slab } = this.#records;
    let at = from;
    for (let blocks = 0; blocks < WALK_BLOCKS_MAX && at < slab.frontier && part.bytes < SNAPSHOT_PART_BYTES; blocks++) {
      if (slab.isRecord(at) && (this.#records.meta(at) & Meta.deleted) === 0) {
        encodeRecord(part, this.#records, at);
        this.counters++;
      }
      at = slab.behind(at);
    }
    return at;
  }
}
