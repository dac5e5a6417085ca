/**
 * A data directory with an engine on it, as the server and the embedding both open it: owned first, recovered
 * then. A start that is refused leaves nothing owned.
 */
import { Engine, type EngineOptions } from '../engine/engine.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { nodeHost } from '../host/node/node.ts';
import { DamageError, UnsupportedFormatError } from '../journal/errors.ts';
import { directoryRefusal } from './directory.ts';
import { type Ownership, takeOwnership } from './owner.ts';
import { StartError, systemCode } from './start-error.ts';

export const host = nodeHost();

const ALLOCATE_BYTES = 1024 * 1024;

export interface OwnedEngine {
  readonly engine: Engine;
  readonly ownership: Ownership;
}

export interface DirectoryOptions extends Omit<EngineOptions, 'disk' | 'host'> {
  readonly directory: string;
  readonly takeOver: boolean;
}

/** @throws StartError when the directory is in use, unusable or damaged */
export async function openEngine(options: DirectoryOptions): Promise<OwnedEngine> {
  const { directory, takeOver, ...engineOptions } = options;
  const ownership = await takeOwnership(directory, { takeOver });
  try {
    const disk = new NodeDisk(ownership.directory);
    const engine = await Engine.open({ allocateBytes: ALLOCATE_BYTES, ...engineOptions, disk, host });
    return { engine, ownership };
  } catch (error) {
    await ownership.release().catch(() => {
      // Why it cannot be opened matters more than that owner.json does not say it was left cleanly.
    });
    throw openRefusal(ownership.directory, error);
  }
}

/** Why the journal could not be opened, as a sentence where the reason lies in the directory. */
function openRefusal(directory: string, error: unknown): unknown {
  if (error instanceof DamageError || error instanceof UnsupportedFormatError) {
    return new StartError(`data directory ${directory}: ${error.message}`, { cause: error });
  }
  return systemCode(error) === undefined ? error : directoryRefusal(directory, error);
}

/** Leaves out what is undefined, so that the engine's own defaults hold. */
export function definedOnly<T extends object>(options: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> };
}
