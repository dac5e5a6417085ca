/**
 * Tallyd inside a Node process: `import { open } from 'tallyd'`. The same engine, files and durability as the server,
 * without a network door. docs/embedding.md says more.
 */
import type { Durability } from '../counter/service.ts';
import type { IdempotencyOptions } from '../engine/idempotency.ts';
import { openEngine } from './open-engine.ts';
import { checkOptions } from './open-options.ts';
import { type PolicyOptions, policyOf } from './policy-fields.ts';
import { checkNode } from './start-error.ts';
import { Tally } from './tally.ts';

export type { Standing } from '../counter/chunk.ts';
export type { ErrorCode } from '../counter/errors.ts';
export { CountingError } from '../counter/errors.ts';
export type { Policy } from '../counter/policy.ts';
export type { Durability, ServiceInfo, SnapshotSummary } from '../counter/service.ts';
export type { Count } from './arguments.ts';
export type { PolicyOptions } from './policy-fields.ts';
export { StartError } from './start-error.ts';
export type { BatchOutcome, CounterHandle, Listed } from './tally.ts';
export type { BatchOptions, BatchUpdate, ListOptions, SetOptions, UpdateOptions } from './update-options.ts';
export type { Tally };

export interface OpenOptions {
  /** The data directory; made when it is missing. One process at a time, and one `open` in it. */
  readonly dir: string;
  /** When an update counts as done: `always` (default): synced; `interval`: written, synced every second; `off`. */
  readonly durability?: Durability;
  /** Bounds, lifetimes and read mode by name pattern; the first match counts. */
  readonly policies?: readonly PolicyOptions[];
  /** How long and within how much memory idempotency keys are remembered. */
  readonly idempotency?: Partial<IdempotencyOptions>;
  /** A snapshot is written when the journal has grown by this much, and by half the size of the last snapshot. */
  readonly snapshotJournalBytes?: number;
  /** New names beyond this are refused. */
  readonly countersMax?: number;
  /**
   * What counters may take outside of the heap; further names are refused. Default: half of what the process may use
   * and does not yet.
   */
  readonly memoryBytesMax?: number;
  /** Take a directory that another host used last and did not leave cleanly. */
  readonly takeOver?: boolean;
  /**
   * Called when the journal or a snapshot cannot be written (the engine keeps retrying), and for damage that a start
   * tolerates.
   */
  readonly onFailure?: (error: unknown) => void;
}

/**
 * Opens a data directory and recovers what it holds. It does not keep the process alive, and a process that
 * ends without `close()` loses nothing that was durable.
 * @throws StartError if the directory is in use, unusable or damaged, or Node is too old; TypeError for invalid options
 */
export async function open(options: OpenOptions): Promise<Tally> {
  checkNode(process.versions.node);
  checkOptions(options);
  const { dir, durability = 'always', takeOver = false, policies = [], onFailure, ...rest } = options;
  const rules = policies.map(policyOf);
  const onDamaged = (what: string): void => onFailure?.(new Error(what));
  const told = { onFailure, onDamaged };
  return new Tally(await openEngine({ ...rest, ...told, policies: rules, directory: dir, durability, takeOver }));
}
