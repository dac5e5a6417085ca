/** What recovery reads goes into the table and the idempotency store. */
import type { IdempotencyRecord, Replay } from '../journal/replay.ts';
import type { IdempotencyStore } from './idempotency.ts';
import type { Records } from './records.ts';

export class Loading implements Replay {
  readonly #records: Records;
  readonly #keys: IdempotencyStore;
  #horizonMs = 0;
  #latestMs = 0;
  /** Of the buffer that recovery reads into. */
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor(records: Records, keys: IdempotencyStore) {
    this.#records = records;
    this.#keys = keys;
  }

  group(_sequence: bigint, timeMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, timeMs);
  }

  value(
    low: number,
    high: number,
    updatedAt: number,
    kind: number,
    nameLength: number,
    key: Uint8Array,
    start: number,
  ): void {
    this.#records.restore(low, high, updatedAt, kind, nameLength, this.#viewOf(key), start);
  }

  deadline(deadlineMs: number, kind: number, nameLength: number, key: Uint8Array, start: number): void {
    this.#records.restoreDeadline(deadlineMs, kind, nameLength, this.#viewOf(key), start);
  }

  delete(kind: number, nameLength: number, key: Uint8Array, start: number): void {
    this.#records.restoreDelete(kind, nameLength, this.#viewOf(key), start);
  }

  idempotency(record: IdempotencyRecord): void {
    this.#keys.add({ ...record, outcomes: record.outcomes.slice(), unsettled: false });
  }

  horizon(unixMs: number): void {
    this.#horizonMs = Math.max(this.#horizonMs, unixMs);
  }

  #viewOf(key: Uint8Array): DataView {
    if (this.#view.buffer !== key.buffer) this.#view = new DataView(key.buffer);
    return this.#view;
  }

  /** Everything has been read: time in the store goes on from the last group's. */
  finish(): void {
    this.#keys.restore(this.#horizonMs, this.#latestMs);
  }
}
