/**
 * A data directory with an engine on it, as the server and the embedding both open it: owned first, recovered then. A
 * refused start leaves nothing owned.
 */
import { Engine, type EngineOptions } from '../engine/engine.ts';
import type { IdempotencyOptions } from '../engine/idempotency.ts';
import { Identity } from '../exchange/identity.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { nodeHost } from '../host/node/node.ts';
import { DamageError, JournalFailure, UnsupportedFormatError } from '../journal/errors.ts';
import { directoryRefusal } from './directory.ts';
import { memoryBudget } from './memory-budget.ts';
import { type Ownership, takeOwnership } from './owner.ts';
import { StartError, systemCode } from './start-error.ts';

export const host = nodeHost();

const ALLOCATE_BYTES = 1024 * 1024;
const NEEDS_STORE =
  'the counters of this data directory are shared through a store: name it with --store or TALLYD_STORE (the same as before)';
const NO_IDENTITY =
  'this data directory has counted for a store, and its replica.json, which said which one, was removed: put the whole directory back from one backup';

export interface OwnedEngine {
  readonly engine: Engine;
  readonly ownership: Ownership;
  /** The directory's identity towards stores that nodes share. */
  readonly identity: Identity;
}

/** Undefined values are decided by the engine, or by the memory that the process may use. */
export interface DirectoryOptions extends Omit<EngineOptions, 'disk' | 'host' | 'idempotency'> {
  readonly directory: string;
  readonly takeOver: boolean;
  readonly idempotency?:
    | { readonly [Option in keyof IdempotencyOptions]?: IdempotencyOptions[Option] | undefined }
    | undefined;
  /** Whether its counters are shared: a directory that met a store cannot count without it. */
  readonly isShared?: boolean;
}

/** @throws StartError when the directory is in use, unusable or damaged */
export async function openEngine(options: DirectoryOptions): Promise<OwnedEngine> {
  const { directory, takeOver, durability, isShared = false, idempotency = {}, ...engineOptions } = options;
  const ownership = await takeOwnership(directory, { takeOver });
  try {
    const disk = new NodeDisk(ownership.directory, () => ownership.check());
    const identity = await Identity.open(disk, host.random);
    if (identity.document.attachment !== undefined && !isShared) throw new StartError(NEEDS_STORE);
    const { countersBytes, keysBytes } = memoryBudget();
    const engine = await Engine.open({
      allocateBytes: ALLOCATE_BYTES,
      durability,
      memoryBytesMax: countersBytes,
      ...definedOnly(engineOptions),
      idempotency: { bytesMax: keysBytes, ...definedOnly(idempotency) },
      disk,
      host,
    });
    if (!isShared && hasSlots(engine)) {
      await engine.close();
      throw new StartError(NO_IDENTITY);
    }
    return { engine, ownership, identity };
  } catch (error) {
    await ownership.release().catch(() => {
      // The reason it cannot be opened matters more than a stale owner.json.
    });
    throw openRefusal(ownership.directory, error);
  }
}

/** Whether counters were shared here; without `replica.json` nothing else shows it. */
function hasSlots(engine: Engine): boolean {
  return engine.recoveredOrdinals.size > 0 && engine.slotOrdinals().size > 0;
}

/** Why the journal could not be opened, as a sentence if the reason is in the directory. */
function openRefusal(directory: string, error: unknown): unknown {
  if (error instanceof DamageError || error instanceof UnsupportedFormatError) {
    return new StartError(`data directory ${directory}: ${error.message}`, { cause: error });
  }
  const cause = error instanceof JournalFailure ? error.cause : error;
  return systemCode(cause) === undefined ? error : directoryRefusal(directory, cause);
}

/** Omits undefined values. */
function definedOnly<T extends object>(options: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> };
}
