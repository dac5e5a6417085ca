/**
 * The `Disk` port on one directory of the real file system.
 *
 * A `FileHandle`, not a bare descriptor: its close waits for pending operations. If a descriptor were closed and reused
 * while a hanging write still held its number, that write would go to another file.
 */
import { type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { DirectoryLost, type Disk, type DiskFile } from '../host.ts';

/** Only the owner may read and write: counter names can be private. */
const FILE_MODE = 0o600;

const FLAGS = { create: 'wx+', read: 'r', write: 'r+' } as const;

export class NodeDisk implements Disk {
  readonly #directory: string;
  readonly #requireOwned: (() => Promise<void>) | undefined;
  /** Device and inode of the directory when a file was first created or written in it. */
  #identity: string | undefined;

  /**
   * @param directory must exist.
   * @param requireOwned called before a file is created or opened for writing; rejects if that is not allowed.
   */
  constructor(directory: string, requireOwned?: () => Promise<void>) {
    this.#directory = directory;
    this.#requireOwned = requireOwned;
  }

  async list(): Promise<string[]> {
    const entries = await readdir(this.#directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  }

  async open(name: string, mode: 'create' | 'read' | 'write'): Promise<DiskFile> {
    if (mode !== 'read') {
      await this.#requireSame();
      await this.#requireOwned?.();
    }
    return new NodeDiskFile(await open(join(this.#directory, name), FLAGS[mode], FILE_MODE), this.#directory);
  }

  /** The path may lead to another directory than before: this one was moved and a copy put in its place. */
  async #requireSame(): Promise<void> {
    const { dev, ino } = await stat(this.#directory, { bigint: true });
    const identity = `${dev}:${ino}`;
    this.#identity ??= identity;
    if (this.#identity === identity) return;
    throw new DirectoryLost(
      `the data directory was removed, moved or replaced under the running process (${this.#directory} is another one); nothing is counted until it is back`,
    );
  }

  rename(from: string, to: string): Promise<void> {
    return rename(join(this.#directory, from), join(this.#directory, to));
  }

  unlink(name: string): Promise<void> {
    return unlink(join(this.#directory, name));
  }

  async syncDirectory(): Promise<void> {
    // Windows cannot open a directory; NTFS logs its changes by itself.
    if (process.platform === 'win32') return;
    const handle = await open(this.#directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

class NodeDiskFile implements DiskFile {
  readonly #handle: FileHandle;
  readonly #directory: string;

  constructor(handle: FileHandle, directory: string) {
    this.#handle = handle;
    this.#directory = directory;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < target.length) {
      const { bytesRead } = await this.#handle.read(target, done, target.length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
      // A disk that writes nothing and reports no error would otherwise loop for ever.
      if (bytesWritten === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'EIO' });
      done += bytesWritten;
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size);
  }

  async hasName(name: string): Promise<boolean> {
    const own = await this.#handle.stat({ bigint: true });
    try {
      const named = await stat(join(this.#directory, name), { bigint: true });
      return named.dev === own.dev && named.ino === own.ino;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
