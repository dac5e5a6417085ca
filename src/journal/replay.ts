/**
 * What recovery feeds: everything that was durable, in order; first the snapshot's parts, then every group
 * behind its begin. States are absolute, so one that comes twice changes nothing.
 *
 * `key` is a buffer that recovery reuses: nothing of it may be kept. The bytes of a key, name and suffix, lie
 * in `key[start, start + nameLength + SUFFIX_BYTES[kind])`.
 */
export interface Replay {
  /** What follows belongs to this group; for a snapshot's parts: to the last group that it covers. */
  group(sequence: bigint, timeMs: number): void;
  /** The record's state; it has no deadline unless `deadline` follows. */
  value(
    low: number,
    high: number,
    updatedAtSeconds: number,
    kind: number,
    nameLength: number,
    key: Uint8Array,
    start: number,
  ): void;
  /** Unix ms. */
  deadline(deadlineMs: number, kind: number, nameLength: number, key: Uint8Array, start: number): void;
  /** The record may be unknown. */
  delete(kind: number, nameLength: number, key: Uint8Array, start: number): void;
  idempotency(record: IdempotencyRecord): void;
  /** Keys with a birth time at or below this are no longer known. Never goes back. */
  horizon(unixMs: number): void;
}

/** An idempotency key with what was answered; its fields own their memory. */
export interface IdempotencyRecord {
  readonly scope: 'request' | 'import';
  /** 1 to 255 printable ASCII characters. */
  readonly key: string;
  /** Lower-case hex of at most 32 bytes. */
  readonly fingerprint: string;
  readonly appliedAtMs: number;
  /** The outcomes of the commands as the engine packs them; the journal does not look inside. */
  readonly outcomes: Uint8Array;
}
