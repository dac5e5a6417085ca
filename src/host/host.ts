/**
 * The ports to the outside. Everything that has time, storage or chance in it goes through one of these, so
 * that a whole server runs in a test from one seed. `node/` implements them on Node; the simulator has its own.
 */

export interface Clock {
  /** Wall-clock time, Unix ms, an integer. May jump. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Calls back once after `delayMs`. Does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): Timer;
  /** Calls back once when the input that is waiting now has been handled (setImmediate). */
  soon(callback: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  /** Cryptographically random bytes. */
  bytes(length: number): Uint8Array;
}

/**
 * One directory. Names are plain file names. Nothing is durable by itself: a file's bytes are after its
 * `sync`, a name (create, rename, unlink) after `syncDirectory`. Errors are the system's, with `code`
 * (ENOSPC, EIO, ENOENT, ...). When another directory has taken the place of this one, or another process has taken the directory, files
 * cannot be created or opened for writing any more: `DirectoryLost`.
 */
export interface Disk {
  list(): Promise<string[]>;
  /** `create` fails with EEXIST when the file exists; `read` and `write` with ENOENT when it does not. */
  open(name: string, mode: 'create' | 'read' | 'write'): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(name: string): Promise<void>;
  syncDirectory(): Promise<void>;
}

/** The directory is not this process's any more; the sentence says why. */
export class DirectoryLost extends Error {
  override readonly name = 'DirectoryLost';
  readonly code = 'ENOENT';
}

export interface DiskFile {
  size(): Promise<number>;
  /** Reads up to `target.length` bytes at `position`; fewer only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all bytes at `position` or fails; after a failure any part may have been written. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** fdatasync: the file's bytes and size are durable. After a failure nothing may be assumed of any byte since the last success. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  /** Whether the directory has this very file under this name. */
  hasName(name: string): Promise<boolean>;
  close(): Promise<void>;
}

export interface Host {
  readonly clock: Clock;
  readonly random: Random;
}
