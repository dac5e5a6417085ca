/**
 * Idempotency records: the answer for each key. A record commits in the group of its update, so either both survive a
 * crash or neither does.
 *
 * Once the record of a key that carries its time (UUIDv7, ULID) is gone, that time decides: if it is within a forgotten
 * span, the key may have been used (*unknown*); otherwise it is new. An opaque key without a record is new again, so an
 * opaque record is never dropped before it expires: while the store is full, new opaque keys are refused.
 *
 * Invariants:
 * - `forgotten` covers the creation time of every dropped timed record. Nothing is removed from it, and no clock moves
 *   it.
 * - A record expires by the monotonic clock, so that no jump of the wall clock shortens or prolongs it. After a restart
 *   its time continues from the last group's stamp. If that stamp is ahead of the clock, it was wrong, and no time
 *   counts as passed since.
 * - Ids of imported chunks are kept for good (`import-ids.ts`), outside of the heap.
 */
import type { IdempotencyKey } from '../counter/chunk.ts';
import { DONE, ERRORS } from '../counter/errors.ts';
import type { Clock } from '../host/host.ts';
import type { IdempotencyRecord } from '../journal/entries/idempotency.ts';
import { PartedMap } from '../std/parted-map.ts';
import { Births } from './births.ts';
import { ImportIds, type ImportRecord } from './import-ids.ts';
import type { Memory } from './memory.ts';

export interface IdempotencyOptions {
  /** How long a key is remembered. */
  readonly retentionMs: number;
  /** Memory for the records. */
  readonly bytesMax: number;
  /** The allowed difference between the clocks of callers and servers. */
  readonly clockSkewMs: number;
}

export const IDEMPOTENCY_DEFAULTS: IdempotencyOptions = {
  retentionMs: 3_600_000,
  bytesMax: 256 * 1024 * 1024,
  clockSkewMs: 60_000,
};

export interface RequestRecord {
  readonly scope: 'request';
  readonly key: string;
  readonly fingerprint: string;
  readonly appliedAtMs: number;
  /** `OUTCOME_BYTES` per command, see `outcomes.ts`. */
  readonly outcomes: Uint8Array;
  /** Its group failed and has not been restated: whether it will survive is not known. */
  unsettled: boolean;
  /** When it expires, by the monotonic clock. */
  endsMs: number;
  /** The previous and the next record of its kind, in order of addition. */
  older: RequestRecord | undefined;
  younger: RequestRecord | undefined;
}

export type StoredRecord = RequestRecord | ImportRecord;

/** Records dropped at a time: after a pause a million may have expired, and no request should wait for all of them. */
const DROPPED_MAX = 1000;
/** The memory of a record besides its texts and outcomes, measured on a heap of a million. */
const RECORD_OVERHEAD_BYTES = 256;
/** The bytes of an id in the journal. */
const IMPORT_ID_ENTRY_BYTES = 36;

export class IdempotencyStore {
  readonly imports: ImportIds;
  /** The creation times of keys that are no longer known. */
  readonly forgotten = new Births();
  readonly #options: IdempotencyOptions;
  readonly #clock: Clock;
  readonly #memory: Memory;
  /** In order of application, which is the order of expiry. */
  readonly #opaque = new AgingMap();
  readonly #timed = new AgingMap();
  #bytes = 0;

  /** @param hashKey 8 secret random bytes. */
  constructor(options: IdempotencyOptions, clock: Clock, memory: Memory, hashKey: Uint8Array) {
    this.#options = options;
    this.#clock = clock;
    this.#memory = memory;
    this.imports = new ImportIds(hashKey);
    memory.count(() => this.imports.byteLength);
  }

  /** Keys of requests, and ids of imports. */
  get count(): number {
    return this.#opaque.size + this.#timed.size + this.imports.count;
  }

  /** Of the keys of requests. */
  get bytes(): number {
    return this.#bytes;
  }

  find(key: IdempotencyKey): StoredRecord | undefined {
    if (key.scope === 'import') return this.imports.find(key.key);
    this.#dropEnded();
    return this.#recordsOf(key.key).get(key.key);
  }

  /**
   * Whether a key without a record may be used now; makes room if it can.
   * @param forgotten receives the creation times of records evicted for it; it is the gathering group's, because the
   *   journal must keep it
   * @returns `DONE` or an error id.
   */
  admit(key: IdempotencyKey, nowMs: number, forgotten: Births): number {
    if (key.scope === 'import') return this.#memory.hasRoom() ? DONE : ERRORS.too_many_imports.id;
    const { bytesMax, clockSkewMs, retentionMs } = this.#options;
    const birthMs = birthOf(key.key);
    if (birthMs === undefined) return this.#bytes >= bytesMax ? ERRORS.idempotency_full.id : DONE;
    if (birthMs > nowMs + clockSkewMs) return ERRORS.idempotency_from_future.id;
    if (birthMs <= nowMs - retentionMs) return ERRORS.idempotency_expired.id;
    while (this.#bytes >= bytesMax) {
      const { oldest } = this.#timed;
      if (oldest === undefined) return ERRORS.idempotency_full.id;
      const droppedMs = this.#dropTimed(oldest);
      forgotten.add(droppedMs, droppedMs);
    }
    return this.forgotten.has(birthMs) ? ERRORS.idempotency_expired.id : DONE;
  }

  /** When the oldest opaque record expires: a refused key may be retried after that time. */
  retryAfterMs(): number {
    const { oldest } = this.#opaque;
    return oldest === undefined ? 1000 : Math.max(1000, Math.ceil(oldest.endsMs - this.#clock.monotonicMs()));
  }

  /** Keeps the answer for a key that is applied now. */
  add(key: IdempotencyKey, appliedAtMs: number, outcomes: Uint8Array): StoredRecord {
    if (key.scope === 'import') return this.imports.add(key, appliedAtMs);
    const { scope, fingerprint } = key;
    const endsMs = this.#clock.monotonicMs() + this.#lifetimeMs;
    return this.#put({
      scope,
      key: key.key,
      fingerprint,
      appliedAtMs,
      outcomes,
      unsettled: false,
      endsMs,
      older: undefined,
      younger: undefined,
    });
  }

  /** Removes a record that was added in this turn. */
  remove(record: StoredRecord): void {
    if (record.scope !== 'request') return;
    const records = this.#recordsOf(record.key);
    if (records.get(record.key) === record) this.#drop(records, record);
  }

  /** Adds a record from the journal; the record owns its memory. `finishLoading` sets when it expires. */
  load({ scope, key, fingerprint, appliedAtMs, outcomes }: IdempotencyRecord): void {
    // Earlier versions stored ids of imports this way.
    if (scope === 'import') this.imports.add({ scope, key, fingerprint }, appliedAtMs);
    else
      this.#put({
        scope,
        key,
        fingerprint,
        appliedAtMs,
        outcomes,
        unsettled: false,
        endsMs: 0,
        older: undefined,
        younger: undefined,
      });
  }

  /**
   * All records of the journal have been added.
   * @param lastGroupMs the stamp of its last group @param horizonMs of an earlier version, 0 for none
   */
  finishLoading(lastGroupMs: number, horizonMs: number): void {
    const nowMs = this.#clock.nowMs();
    const { retentionMs, clockSkewMs } = this.#options;
    const untilMs = Math.min(lastGroupMs, nowMs);
    if (horizonMs > 0) {
      // That version used the latest stamp; a stamp ahead of the clock was wrong.
      const soundMs = Math.min(horizonMs, nowMs + clockSkewMs);
      this.forgotten.add(0, Math.max(soundMs, untilMs - retentionMs));
    }
    const beginMs = this.#clock.monotonicMs() + this.#lifetimeMs;
    for (const records of [this.#opaque, this.#timed]) {
      for (const record of records.values()) record.endsMs = beginMs - Math.max(0, untilMs - record.appliedAtMs);
    }
  }

  /** All records, for a snapshot. */
  *records(): Generator<StoredRecord> {
    yield* this.imports.records();
    yield* this.#opaque.values();
    yield* this.#timed.values();
  }

  /** The window plus twice the skew: then the window has passed every accepted creation time. */
  get #lifetimeMs(): number {
    return this.#options.retentionMs + 2 * this.#options.clockSkewMs;
  }

  #put(record: RequestRecord): RequestRecord {
    const records = this.#recordsOf(record.key);
    const before = records.add(record);
    if (before !== undefined) {
      this.#drop(records, before);
      records.add(record);
    }
    this.#bytes += recordBytes(record);
    return record;
  }

  #recordsOf(key: string): AgingMap {
    return birthOf(key) === undefined ? this.#opaque : this.#timed;
  }

  /** Drops expired records. */
  #dropEnded(): void {
    const nowMs = this.#clock.monotonicMs();
    for (let dropped = 0; dropped < DROPPED_MAX; dropped++) {
      const { oldest } = this.#opaque;
      if (oldest === undefined || oldest.endsMs > nowMs) break;
      this.#drop(this.#opaque, oldest);
    }
    for (let dropped = 0; dropped < DROPPED_MAX; dropped++) {
      const { oldest } = this.#timed;
      if (oldest === undefined || oldest.endsMs > nowMs) break;
      this.#dropTimed(oldest);
    }
  }

  /** @returns its key's creation time, which is kept. */
  #dropTimed(record: RequestRecord): number {
    this.#drop(this.#timed, record);
    const birthMs = birthOf(record.key) ?? 0;
    this.forgotten.add(birthMs, birthMs);
    return birthMs;
  }

  #drop(records: AgingMap, record: RequestRecord): void {
    records.delete(record);
    this.#bytes -= recordBytes(record);
  }
}

/** Records by key, and in the order in which they were added, each linked to the next: growing moves nothing. */
class AgingMap {
  readonly #byKey = new PartedMap<RequestRecord>();
  #oldest: RequestRecord | undefined;
  #youngest: RequestRecord | undefined;

  get size(): number {
    return this.#byKey.size;
  }

  get oldest(): RequestRecord | undefined {
    return this.#oldest;
  }

  get(key: string): RequestRecord | undefined {
    return this.#byKey.get(key);
  }

  /** Adds the youngest, unless its key has a record. @returns that record */
  add(record: RequestRecord): RequestRecord | undefined {
    const known = this.#byKey.add(record.key, record);
    if (known !== undefined) return known;
    record.older = this.#youngest;
    if (record.older === undefined) this.#oldest = record;
    else record.older.younger = record;
    this.#youngest = record;
    return undefined;
  }

  delete({ key, older, younger }: RequestRecord): void {
    this.#byKey.delete(key);
    if (older === undefined) this.#oldest = younger;
    else older.younger = younger;
    if (younger === undefined) this.#youngest = older;
    else younger.older = older;
  }

  /** In order of age; records may be added and removed meanwhile. */
  *values(): Generator<RequestRecord> {
    for (let record = this.#oldest; record !== undefined; record = record.younger) {
      if (this.#byKey.get(record.key) === record) yield record;
    }
  }
}

export function recordBytes(record: StoredRecord): number {
  if (record.scope === 'import') return IMPORT_ID_ENTRY_BYTES;
  return RECORD_OVERHEAD_BYTES + record.key.length + record.fingerprint.length + record.outcomes.length;
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The Unix ms that a UUIDv7 (RFC 9562) or an upper-case ULID carries; undefined for any other key. */
export function birthOf(key: string): number | undefined {
  if (key.length === 36 && UUID_V7.test(key)) return Number.parseInt(key.slice(0, 8) + key.slice(9, 13), 16);
  if (key.length !== 26 || !ULID.test(key)) return undefined;
  let ms = 0;
  for (let i = 0; i < 10; i++) ms = ms * 32 + CROCKFORD.indexOf(key[i]);
  return ms;
}
