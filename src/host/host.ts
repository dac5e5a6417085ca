/**
 * The ports to the outside. All time, storage and randomness goes through one of these, so that a test can run a whole
 * server from one seed. `node/` implements them on Node; the simulator has its own.
 */

export interface Clock {
  /** Wall-clock time, Unix ms, an integer. May jump. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Calls back once after `delayMs`. Does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): Timer;
  /** Calls back once when the currently pending input has been handled (setImmediate). */
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
 * One directory. Names are plain file names. Nothing is durable by itself: a file's bytes become durable with its
 * `sync`, a name (create, rename, unlink) with `syncDirectory`. Errors are the system's, with `code` (ENOSPC, EIO,
 * ENOENT, ...). If another directory has replaced this one, or another process has taken it over, files can no longer
 * be created or opened for writing: `DirectoryLost`.
 */
export interface Disk {
  list(): Promise<string[]>;
  /** `create` fails with EEXIST if the file exists; `read` and `write` with ENOENT if it does not. */
  open(name: string, mode: 'create' | 'read' | 'write'): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(name: string): Promise<void>;
  syncDirectory(): Promise<void>;
}

/** The directory no longer belongs to this process; the message says why. */
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
  /**
   * fdatasync: the file's bytes and size are durable. After a failure nothing may be assumed of any byte since the last
   * success.
   */
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
