/**
 * Loads what recovery reads into the table and the idempotency store. The same key may come many times, in the snapshot
 * and after it: the last state is valid.
 */
import { Block, type Blocks } from '../journal/entries/blocks.ts';
import type { IdempotencyRecord } from '../journal/entries/idempotency.ts';
import type { ImportId } from '../journal/entries/import-id.ts';
import type { IndexLeaf } from '../journal/entries/index-leaf.ts';
import type { TableHead } from '../journal/entries/table.ts';
import { ValueEntry, type Values } from '../journal/entries/value.ts';
import type { Replay } from '../journal/replay.ts';
import type { IdempotencyStore } from './idempotency.ts';
import type { Records } from './records.ts';
import { SlotOrdinals } from './slot-ordinals.ts';
import { SnapshotLoad } from './snapshot-load.ts';

export class Loading implements Replay {
  readonly #records: Records;
  readonly #keys: IdempotencyStore;
  readonly #ordinals = new SlotOrdinals();
  /** Set while a snapshot is loaded into the empty table. */
  #snapshot: SnapshotLoad | undefined;
  #hashes = new Int32Array(0);
  #refs = new Int32Array(0);
  #horizonMs = 0;
  #lastGroupMs = 0;

  constructor(records: Records, keys: IdempotencyStore) {
    this.#records = records;
    this.#keys = keys;
  }

  /** The ordinals of slots that have been read; some may be deleted since. */
  slotOrdinals(): ReadonlySet<number> {
    return this.#ordinals.all;
  }

  group(_sequence: bigint, timeMs: number): void {
    this.#lastGroupMs = timeMs;
  }

  beginSnapshot(entries: number): void {
    this.endSnapshot();
    // A snapshot that replaces a damaged one is loaded on top of what that one left.
    if (this.#records.table.count === 0) this.#snapshot = new SnapshotLoad(this.#records, entries);
  }

  endSnapshot(): void {
    this.#snapshot?.finish();
    this.#snapshot = undefined;
  }

  values(values: Values): void {
    const { words, view, at, count } = values;
    if (this.#hashes.length < count) {
      this.#hashes = new Int32Array(count);
      this.#refs = new Int32Array(count);
    }
    // In a loop of its own: one hash uses few registers and has a long latency, so the processor computes several in
    // parallel.
    for (let i = 0; i < count; i++) {
      const kindAndLength = words[at[i] + ValueEntry.kindAndLength];
      const key = (at[i] + ValueEntry.key) * 4;
      this.#hashes[i] = this.#records.table.hash(kindAndLength & 0xff, kindAndLength >>> 8, view, key);
      this.#ordinals.note(kindAndLength & 0xff, kindAndLength >>> 8, view, key);
    }
    if (this.#snapshot === undefined) this.#update(values);
    else this.#snapshot.values(values, this.#hashes);
  }

  table(head: TableHead): void {
    this.#snapshot?.table(head);
  }

  indexLeaf(leaf: IndexLeaf): void {
    this.#snapshot?.indexLeaf(leaf);
  }

  blocks(blocks: Blocks): boolean {
    if (this.#snapshot === undefined) return false;
    const { words, view, at, count } = blocks;
    for (let i = 0; i < count; i++) {
      if (at[i] < 0) continue;
      const meta = words[at[i] + Block.meta];
      const kind = (meta >>> Block.kindShift) & Block.kindMask;
      this.#ordinals.note(kind, meta & Block.nameLengthMask, view, (at[i] + Block.key) * 4);
    }
    this.#snapshot.blocks(blocks);
    return true;
  }

  deadline(deadlineMs: number, kind: number, nameLength: number, key: DataView, start: number): void {
    if (this.#snapshot?.deadline(deadlineMs, kind, nameLength, key, start) === true) return;
    const ref = this.#find(kind, nameLength, key, start);
    if (ref !== 0) this.#records.setDeadline(ref, deadlineMs);
  }

  /** The deletion is durable, so the record is removed at once. */
  delete(kind: number, nameLength: number, key: DataView, start: number): void {
    const ref = this.#find(kind, nameLength, key, start);
    if (ref !== 0) this.#records.forget(ref);
  }

  idempotency(record: IdempotencyRecord): void {
    this.#keys.load(record);
  }

  importId(id: ImportId): void {
    this.#keys.imports.put(id);
  }

  forgotten(fromMs: number, throughMs: number): void {
    this.#keys.forgotten.add(fromMs, throughMs);
  }

  horizon(unixMs: number): void {
    this.#horizonMs = Math.max(this.#horizonMs, unixMs);
  }

  /** Everything has been read: the time of keys continues from the last group's stamp. */
  finish(): void {
    this.#keys.finishLoading(this.#lastGroupMs, this.#horizonMs);
  }

  #find(kind: number, nameLength: number, key: DataView, start: number): number {
    this.endSnapshot();
    const { table } = this.#records;
    return table.find(table.hash(kind, nameLength, key, start), kind, nameLength, key, start);
  }

  /** Step by step, index and records, so that the cache misses of a step overlap. */
  #update({ words, view, at, count }: Values): void {
    const { table } = this.#records;
    const hashes = this.#hashes;
    const refs = this.#refs;
    table.candidates(hashes, 0, count, refs);
    for (let i = 0; i < count; i++) {
      const kind = words[at[i] + ValueEntry.kindAndLength] & 0xff;
      const nameLength = words[at[i] + ValueEntry.kindAndLength] >>> 8;
      const key = (at[i] + ValueEntry.key) * 4;
      let ref = refs[i];
      if (ref === 0 || !table.matches(ref, kind, nameLength, view, key)) {
        ref = table.find(hashes[i], kind, nameLength, view, key);
      }
      if (ref === 0) {
        ref = table.insert(hashes[i], kind, nameLength, view, key);
        this.#records.classify(ref);
      }
      this.#records.clearDeadline(ref);
      const entry = at[i];
      this.#records.write(
        ref,
        words[entry + ValueEntry.low],
        words[entry + ValueEntry.high],
        words[entry + ValueEntry.updatedAt],
      );
    }
  }
}
