/** From records to the journal's entries: for a group, what it touched; for a snapshot, everything, in record order. */
import type { GroupBuffer } from '../journal/group.ts';
import { SNAPSHOT_PART_BYTES, type SnapshotSource } from '../journal/snapshot.ts';
import { type Group, putValue } from './group.ts';
import type { IdempotencyStore, StoredRecord } from './idempotency.ts';
import type { Records } from './records.ts';
import { FIRST_UNIT, KEY_LANE, Meta, Slab, WALK_BLOCKS_MAX } from './slab.ts';

/** Completes the encoding of a group that is being sealed: what is not in it yet. */
export function completeGroup(group: Group, records: Records): void {
  const buffer = group.encoding;
  for (const ref of group.late) encodeRecord(buffer, records, ref);
  for (const record of group.records) buffer.putIdempotency(record);
  if (group.horizonMs > 0) buffer.putHorizon(group.horizonMs);
}

function encodeRecord(buffer: GroupBuffer, records: Records, ref: number): void {
  const lanes = records.slab.lanes[Slab.piece(ref)];
  const at = Slab.lane(ref);
  const meta = lanes[at + 3];
  const kind = (meta >>> Meta.kindShift) & Meta.kindMask;
  const nameLength = meta & Meta.nameLengthMask;
  const key = at + KEY_LANE;
  if ((meta & Meta.deleted) !== 0) {
    buffer.putDelete(kind, nameLength, lanes, key);
    return;
  }
  putValue(buffer, lanes, at);
  if ((meta & Meta.deadline) === 0) return;
  buffer.putDeadline(records.deadlines.get(ref) ?? 0, kind, nameLength, lanes, key);
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
