/** From records to the journal's entries: for a group, what it touched; for a snapshot, everything, in record order. */
import type { GroupBuffer } from '../journal/group.ts';
import { SNAPSHOT_PART_BYTES, type SnapshotSource } from '../journal/snapshot.ts';
import type { Group } from './group.ts';
import type { IdempotencyStore, StoredRecord } from './idempotency.ts';
import type { Records } from './records.ts';
import { FIRST_UNIT, Meta, Slab, WALK_BLOCKS_MAX } from './slab.ts';

/** Fills the buffer of a sealed group, which has begun, with the state of everything that it touched. */
export function encodeGroup(group: Group, buffer: GroupBuffer, records: Records): void {
  for (let i = 0; i < group.count; i++) encodeRecord(buffer, records, group.refs[i]);
  for (const record of group.records) buffer.putIdempotency(record);
  if (group.horizonMs > 0) buffer.putHorizon(group.horizonMs);
}

function encodeRecord(buffer: GroupBuffer, records: Records, ref: number): void {
  const piece = Slab.piece(ref);
  const lanes = records.slab.lanes[piece];
  const bytes = records.slab.bytes[piece];
  const at = Slab.lane(ref);
  const meta = lanes[at + 3];
  const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
  const nameLength = meta & Meta.nameLengthMask;
  const key = Slab.keyByte(ref);
  if ((meta & Meta.deleted) !== 0) {
    buffer.putDelete(kind, nameLength, bytes, key);
    return;
  }
  buffer.putValue(lanes[at], lanes[at + 1], lanes[at + 2] >>> 0, kind, nameLength, bytes, key);
  if ((meta & Meta.deadline) === 0) return;
  buffer.putDeadline(records.deadlines.get(ref) ?? 0, kind, nameLength, bytes, key);
}

/**
 * The parts of a snapshot, taken one by one between other work. A record that changes after its part was taken
 * is in a group behind the snapshot's begin, so replaying those brings it up to date.
 */
export class SnapshotParts implements SnapshotSource {
  readonly #records: Records;
  readonly #keys: IdempotencyStore;
  /** Where the next part begins; 0 behind the last record. */
  #position = FIRST_UNIT;
  #idempotency: Iterator<StoredRecord> | undefined;
  #isHorizonTold = false;
  /** Counters written so far. */
  counters = 0;

  constructor(records: Records, keys: IdempotencyStore) {
    this.#records = records;
    this.#keys = keys;
  }

  next(part: GroupBuffer): boolean {
    if (!this.#isHorizonTold) {
      this.#isHorizonTold = true;
      if (this.#keys.horizonMs > 0) part.putHorizon(this.#keys.horizonMs);
    }
    if (this.#putRecords(part)) return true;
    // Not before the last record: records of keys that come later are in groups behind the begin.
    this.#idempotency ??= this.#keys.records();
    while (part.bytes < SNAPSHOT_PART_BYTES) {
      const next = this.#idempotency.next();
      if (next.done === true) return false;
      part.putIdempotency(next.value);
    }
    return true;
  }

  /** @returns whether there are more. */
  #putRecords(part: GroupBuffer): boolean {
    const { slab } = this.#records;
    if (this.#position === 0) return false;
    let at = this.#position;
    for (let blocks = 0; blocks < WALK_BLOCKS_MAX && at < slab.frontier && part.bytes < SNAPSHOT_PART_BYTES; blocks++) {
      if (slab.isRecord(at) && (this.#records.meta(at) & Meta.deleted) === 0) {
        encodeRecord(part, this.#records, at);
        this.counters++;
      }
      at = slab.behind(at);
    }
    this.#position = at < slab.frontier ? at : 0;
    return this.#position !== 0;
  }
}
