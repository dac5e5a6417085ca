/**
 * Idempotency records: what was answered to which key. A record commits in the group of its update, so either
 * both survive a crash or neither does.
 *
 * A key that carries its time (UUIDv7, ULID) is judged by it once its record is gone: born at or before the
 * horizon it may have been used (*unknown*); after it, it is new. An opaque key without a record is new again,
 * so an opaque record is never dropped before its time: while the store is full, new opaque keys are refused.
 *
 * Invariants:
 * - The horizon never falls. A timed record is dropped only after the horizon has passed its birth.
 * - A record's time ends by the clock as it is now, wrong or not, since the record was stamped by it: were it the
 *   latest time ever seen, then after a clock that was ahead has been set back every new record would be dropped at once.
 * - Import records (ids of imported chunks) are kept for good and do not count towards the bound.
 */
import type { IdempotencyKey } from '../counter/chunk.ts';
import { DONE, ERRORS } from '../counter/errors.ts';

export interface IdempotencyOptions {
  /** How long a key is remembered. */
  readonly retentionMs: number;
  /** Memory for the records. */
  readonly bytesMax: number;
  /** How far the clocks of callers and servers may differ. */
  readonly clockSkewMs: number;
}

export const IDEMPOTENCY_DEFAULTS: IdempotencyOptions = {
  retentionMs: 3_600_000,
  bytesMax: 256 * 1024 * 1024,
  clockSkewMs: 60_000,
};

export interface StoredRecord {
  readonly scope: 'request' | 'import';
  readonly key: string;
  readonly fingerprint: string;
  readonly appliedAtMs: number;
  /** `OUTCOME_BYTES` per command, see `outcomes.ts`. */
  readonly outcomes: Uint8Array;
  /** Its group failed and has not been restated: whether it will survive is not known. */
  unsettled: boolean;
}

/** Records dropped at a time: after a pause a million may have ended, and one request is not to wait for all of them. */
const DROPPED_MAX = 1000;
/** What a record costs besides its texts and outcomes: measured on a heap of a million. */
const RECORD_OVERHEAD_BYTES = 240;

export class IdempotencyStore {
  readonly #options: IdempotencyOptions;
  readonly #imports = new Map<string, StoredRecord>();
  /** In order of application, which is the order in which their time ends. */
  readonly #opaque = new AgingMap();
  readonly #timed = new AgingMap();
  #bytes = 0;
  #evictedHorizonMs = 0;
  #latestMs = 0;

  constructor(options: IdempotencyOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#opaque.size + this.#timed.size + this.#imports.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Births at or before this are no longer known. Unix ms. */
  get horizonMs(): number {
    return Math.max(this.#evictedHorizonMs, this.#latestMs - this.#options.retentionMs);
  }

  /** The part of the horizon that dropping records early has moved: the journal keeps it. */
  get evictedHorizonMs(): number {
    return this.#evictedHorizonMs;
  }

  find(key: IdempotencyKey): StoredRecord | undefined {
    if (key.scope === 'import') return this.#imports.get(key.key);
    return this.#opaque.get(key.key) ?? this.#timed.get(key.key);
  }

  /**
   * Whether a key without a record may be used now; makes room where it can.
   * @returns `DONE` or an error id.
   */
  admit(key: IdempotencyKey, nowMs: number): number {
    this.#advance(nowMs);
    if (key.scope === 'import') return DONE;
    const birthMs = birthOf(key.key);
    if (birthMs === undefined) {
      return this.#bytes >= this.#options.bytesMax ? ERRORS.idempotency_full.id : DONE;
    }
    if (birthMs > nowMs + this.#options.clockSkewMs) return ERRORS.idempotency_from_future.id;
    if (birthMs <= this.horizonMs) return ERRORS.idempotency_expired.id;
    while (this.#bytes >= this.#options.bytesMax) {
      const { oldest } = this.#timed;
      if (oldest === undefined) return ERRORS.idempotency_full.id;
      this.#drop(this.#timed, oldest);
      this.#evictedHorizonMs = Math.max(this.#evictedHorizonMs, birthOf(oldest.key) ?? 0);
    }
    // Making room may have moved the horizon past this very key.
    return birthMs <= this.horizonMs ? ERRORS.idempotency_expired.id : DONE;
  }

  /** When the oldest opaque record's time ends: that much later a refused key may come again. */
  retryAfterMs(nowMs: number): number {
    const { oldest } = this.#opaque;
    return oldest === undefined ? 1000 : Math.max(1000, this.#endOf(oldest) - nowMs);
  }

  add(record: StoredRecord): void {
    if (record.scope === 'import') {
      this.#imports.set(record.key, record);
      return;
    }
    const records = birthOf(record.key) === undefined ? this.#opaque : this.#timed;
    const before = records.get(record.key);
    if (before !== undefined) this.#drop(records, before);
    records.set(record.key, record);
    this.#bytes += recordBytes(record);
  }

  /** Takes back a record that was added in this turn. */
  remove(record: StoredRecord): void {
    for (const records of [this.#opaque, this.#timed])
      if (records.get(record.key) === record) this.#drop(records, record);
  }

  /** From a recovered journal: the horizon, and the time of its groups. */
  restore(horizonMs: number, latestMs: number): void {
    this.#evictedHorizonMs = Math.max(this.#evictedHorizonMs, horizonMs);
    this.#latestMs = Math.max(this.#latestMs, latestMs);
  }

  /** All records, for a snapshot. */
  *records(): Generator<StoredRecord> {
    yield* this.#imports.values();
    yield* this.#opaque.values();
    yield* this.#timed.values();
  }

  /** Drops what has outlived its time. */
  #advance(nowMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, nowMs);
    for (const records of [this.#opaque, this.#timed]) {
      for (let dropped = 0; dropped < DROPPED_MAX; dropped++) {
        const { oldest } = records;
        if (oldest === undefined || this.#endOf(oldest) > nowMs) break;
        this.#drop(records, oldest);
      }
    }
  }

  /** The window plus twice the skew: then the horizon has passed any birth that was accepted. */
  #endOf(record: StoredRecord): number {
    return record.appliedAtMs + this.#options.retentionMs + 2 * this.#options.clockSkewMs;
  }

  #drop(records: AgingMap, record: StoredRecord): void {
    records.delete(record.key);
    this.#bytes -= recordBytes(record);
  }
}

/**
 * Records by key, in the order in which they were added. A fresh iterator over a Map walks over the holes of what
 * was deleted before it comes to the first entry; with one that is kept, the oldest costs nothing to find.
 */
class AgingMap extends Map<string, StoredRecord> {
  #ages = this.values();
  #oldest: StoredRecord | undefined;

  get oldest(): StoredRecord | undefined {
    while (this.size > 0 && (this.#oldest === undefined || this.get(this.#oldest.key) !== this.#oldest)) {
      const next = this.#ages.next();
      if (next.done === true) this.#ages = this.values();
      this.#oldest = next.value;
    }
    return this.size > 0 ? this.#oldest : undefined;
  }
}

export function recordBytes(record: StoredRecord): number {
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
