/**
 * The receiver of recovery: everything that was durable, in order; first the snapshot's parts, then every group after
 * its begin. States are absolute, so a repeated one changes nothing.
 *
 * `key` and values are buffers that recovery reuses: they must not be kept. The bytes of a key, name and suffix, lie in
 * `key[start, start + nameLength + SUFFIX_BYTES[kind])`.
 */
import type { BlocksReplay } from './entries/blocks.ts';
import type { DeadlineReplay } from './entries/deadline.ts';
import type { DeleteReplay } from './entries/delete.ts';
import type { ForgottenReplay } from './entries/forgotten.ts';
import type { HorizonReplay } from './entries/horizon.ts';
import type { IdempotencyReplay } from './entries/idempotency.ts';
import type { ImportIdReplay } from './entries/import-id.ts';
import type { IndexLeafReplay } from './entries/index-leaf.ts';
import type { TableReplay } from './entries/table.ts';
import type { ValueReplay } from './entries/value.ts';

/** What becomes of records. A record has no deadline unless one follows its value. */
export interface RecordReplay extends ValueReplay, DeadlineReplay, DeleteReplay {}

export interface Replay
  extends RecordReplay,
    BlocksReplay,
    ForgottenReplay,
    HorizonReplay,
    IdempotencyReplay,
    ImportIdReplay,
    IndexLeafReplay,
    TableReplay {
  /** The following entries belong to this group; for a snapshot's parts: to the last group that it covers. */
  group(sequence: bigint, timeMs: number): void;
  /** A snapshot's parts follow, about so many entries. A record's deadline follows its state at once. */
  beginSnapshot(entries: number): void;
  /** All of the snapshot has been fed. */
  endSnapshot(): void;
}
