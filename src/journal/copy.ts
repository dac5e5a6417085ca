/**
 * Copies a journal, even while a process writes to it. That process is not involved.
 *
 * - All files are opened first, effectively at one moment: files removed later can still be read, and files created
 *   later are not needed, because a segment that has been left is whole.
 * - Recovery, which only reads, then determines which files are valid and where the last one ends. Frames may still be
 *   arriving after that end. If recovery reports damage there, it may have met a half-written frame with whole ones
 *   after it, so it is run again.
 */
import type { Clock, Disk, DiskFile } from '../host/host.ts';
import { DamageError } from './errors.ts';
import { parseFileName } from './format.ts';
import { isMissing, makeReach, REACH_FILE } from './reach.ts';
import { type Recovered, recover } from './recovery.ts';
import { NOTHING } from './snapshot-reader.ts';

const TRIES = 10;
const COPY_BYTES = 1024 * 1024;
const DEADLINE_MS = 60_000;

export interface JournalCopy {
  readonly files: number;
  readonly bytes: number;
  /** The last group in it. */
  readonly sequence: bigint;
}

/** The files of a journal, open. */
export class HeldJournal {
  readonly #files: ReadonlyMap<string, DiskFile>;
  readonly #found: Recovered;

  private constructor(files: ReadonlyMap<string, DiskFile>, found: Recovered) {
    this.#files = files;
    this.#found = found;
  }

  /** @throws DamageError, UnsupportedFormatError, the disk's errors */
  static async open(disk: Disk): Promise<HeldJournal> {
    const files = await holdFiles(disk);
    try {
      return new HeldJournal(files, await recoverHeld(files));
    } catch (error) {
      await closeAll(files);
      throw error;
    }
  }

  /** Whether there are any files to copy. */
  get isEmpty(): boolean {
    return this.#found.used.length === 0;
  }

  /** Copies the valid content to an empty disk; everything but the names is then durable. @throws the disks' errors */
  async copyTo(disk: Disk, clock: Clock): Promise<JournalCopy> {
    const { used, tail, sequence, continues } = this.#found;
    let bytes = 0;
    for (const name of used) {
      const file = this.#files.get(name) as DiskFile;
      const end = name === tail?.name ? tail.wholeOffset : await file.size();
      await copyFile(file, await disk.open(name, 'create'), end);
      bytes += end;
    }
    // The copy gets its own reach: the copied journal must not end before it.
    await makeReach({ disk, clock, writeDeadlineMs: DEADLINE_MS, allocateBytes: 0 }, continues);
    return { files: used.length, bytes, sequence };
  }

  async close(): Promise<void> {
    await closeAll(this.#files);
  }
}

async function holdFiles(disk: Disk): Promise<Map<string, DiskFile>> {
  for (let attempt = 1; ; attempt++) {
    const files = new Map<string, DiskFile>();
    try {
      // Read first and whole: it must not claim more than the files read after it hold.
      const reach = await holdReach(disk);
      if (reach !== undefined) files.set(REACH_FILE, reach);
      for (const name of await disk.list()) {
        const kind = parseFileName(name)?.kind;
        if (kind === 'segment' || kind === 'snapshot') files.set(name, await holdFile(await disk.open(name, 'read')));
      }
      return files;
    } catch (error) {
      await closeAll(files);
      // A snapshot has replaced files since they were listed.
      if (!isMissing(error) || attempt === TRIES) throw error;
    }
  }
}

/** What a reader starting now would find. */
async function holdFile(file: DiskFile): Promise<DiskFile> {
  const size = await file.size();
  return {
    size: async () => size,
    read: async (target, position) => {
      const wanted = target.subarray(0, Math.max(0, size - position));
      // A segment that is left in the meantime loses its preallocated zeros.
      wanted.fill(0, await file.read(wanted, position));
      return wanted.length;
    },
    write: refuse,
    sync: refuse,
    truncate: refuse,
    hasName: (name) => file.hasName(name),
    close: () => file.close(),
  };
}

async function holdReach(disk: Disk): Promise<DiskFile | undefined> {
  if (!(await disk.list()).includes(REACH_FILE)) return undefined;
  const file = await disk.open(REACH_FILE, 'read');
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  const read = async (target: Uint8Array, position: number): Promise<number> => {
    const part = bytes.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  };
  return { ...(await holdFile(file)), read };
}

async function recoverHeld(files: ReadonlyMap<string, DiskFile>): Promise<Recovered> {
  const view: Disk = {
    list: async () => [...files.keys()],
    open: async (name) => {
      const file = files.get(name);
      if (file === undefined) throw Object.assign(new Error(`${name} is not held`), { code: 'ENOENT' });
      return { ...file, close: async () => undefined };
    },
    rename: refuse,
    unlink: refuse,
    syncDirectory: refuse,
  };
  for (let attempt = 1; ; attempt++) {
    try {
      return await recover(view, NOTHING);
    } catch (error) {
      if (!(error instanceof DamageError) || attempt === TRIES) throw error;
    }
  }
}

async function copyFile(from: DiskFile, to: DiskFile, end: number): Promise<void> {
  try {
    const bytes = new Uint8Array(COPY_BYTES);
    for (let at = 0; at < end; at += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, end - at));
      await from.read(part, at);
      await to.write(part, at);
    }
    await to.sync();
  } finally {
    await to.close();
  }
}

async function closeAll(files: ReadonlyMap<string, DiskFile>): Promise<void> {
  await Promise.all([...files.values()].map((file) => file.close()));
}

function refuse(): Promise<never> {
  return Promise.reject(new Error('what is copied is not changed'));
}
