/**
 * A disk in memory, from one seed, that does to a program everything a real one is allowed to:
 *
 * - `crash()`: the power went. What was synced is there; of the rest each sector and each change to the directory
 *   is kept or lost by itself, a file may end anywhere, and space that was never written shows old bytes.
 * - `kill()`: the process went. The next one sees the system's cache: also what no crash would leave.
 * - `failAt(n, fault)`: the n-th operation fails. After a failed write any part is written; after a failed sync the
 *   system takes the file for clean, and any part of it is on the disk.
 * - `stopAt(n)`: the n-th operation and all later ones are not answered: the moment to call `crash()`.
 * - `flip()`: a bit has rotted.
 * - `copy()`: somebody has copied it, and both are used from then on.
 *
 * Only operations that change something are counted (create, write, sync, truncate, rename, unlink, directory
 * sync). With a clock they take time, without one they complete at once.
 */
import type { Disk, DiskFile } from '../../src/host/host.ts';
import { SeededRandom } from '../../src/std/random.ts';
import type { SimulatedClock } from './host.ts';
import { Inode, SECTOR_BYTES } from './inode.ts';

/** `hang`: no answer before `release()`. */
export type Fault = 'ENOSPC' | 'EIO' | 'hang';

export interface SimulatedDiskOptions {
  readonly seed: number;
  /** With it, an operation takes a random time up to `latencyMs`. */
  readonly clock?: SimulatedClock | undefined;
  readonly latencyMs?: number | undefined;
}

type Directory = Map<string, Inode>;
type Change = (names: Directory) => void;

/** What one life of the disk leaves to the next. */
interface Remains {
  readonly names: Directory;
  readonly durable: Directory;
  readonly changes: Change[];
  readonly stale: Uint8Array[];
}

export class SimulatedDisk implements Disk {
  readonly #options: SimulatedDiskOptions;
  readonly #random: SeededRandom;
  readonly #names: Directory;
  readonly #durableNames: Directory;
  /** Changes to the directory since its last sync. */
  readonly #changes: Change[];
  /** What unlinked files held: it is still somewhere on the disk. */
  readonly #stale: Uint8Array[];
  readonly #faults = new Map<number, Fault>();
  readonly #hanging: (() => void)[] = [];
  #operations = 0;
  #stopAt = Number.POSITIVE_INFINITY;
  #stopped: () => void = () => undefined;
  #isGone = false;

  constructor(options: SimulatedDiskOptions, from?: Remains) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#names = from?.names ?? new Map();
    this.#durableNames = from?.durable ?? new Map();
    this.#changes = from?.changes ?? [];
    this.#stale = from?.stale ?? [];
  }

  /** Operations so far. */
  get operations(): number {
    return this.#operations;
  }

  failAt(operation: number, fault: Fault): void {
    this.#faults.set(operation, fault);
  }

  /** @returns a promise that resolves when the operation is asked for. */
  stopAt(operation: number): Promise<void> {
    this.#stopAt = operation;
    return new Promise((resolve) => {
      this.#stopped = resolve;
    });
  }

  /** Lets hanging operations complete, late. */
  release(): void {
    for (const complete of this.#hanging.splice(0)) complete();
  }

  /** @returns the disk as the next boot finds it; this one answers nothing any more. */
  crash(): SimulatedDisk {
    this.#isGone = true;
    const random = this.#random;
    const names = new Map(this.#durableNames);
    const isInOrder = random.chance(0.5);
    const kept = random.below(this.#changes.length + 1);
    for (const [i, change] of this.#changes.entries()) if (isInOrder ? i < kept : random.chance(0.5)) change(names);
    const stale = [...this.#stale, ...[...this.#names.values()].map((inode) => inode.bytes)];
    const files: Directory = new Map();
    for (const [name, inode] of names) files.set(name, inode.afterCrash(random, stale));
    return this.#successor({ names: files, durable: new Map(files), changes: [], stale });
  }

  /** @returns the disk as the next process finds it; this one answers nothing any more. */
  kill(): SimulatedDisk {
    this.#isGone = true;
    const [names, durable, changes, stale] = [this.#names, this.#durableNames, this.#changes, this.#stale];
    return this.#successor({ names, durable, changes, stale });
  }

  /** @returns a copy of what a reader sees, made at one moment; this one goes on. */
  copy(): SimulatedDisk {
    const names: Directory = new Map();
    for (const [name, inode] of this.#names) names.set(name, new Inode(inode.bytes.slice()));
    const from = { names, durable: new Map(names), changes: [], stale: [] };
    return new SimulatedDisk({ ...this.#options, seed: this.#random.uint32() }, from);
  }

  flip(name: string, offset: number, bit = 0): void {
    this.#inode(name).flip(offset, bit);
  }

  /** What a reader of the file would see. */
  content(name: string): Uint8Array {
    return this.#inode(name).bytes.slice();
  }

  async isNamed(inode: Inode, name: string): Promise<boolean> {
    return this.#isGone ? forever() : this.#names.get(name) === inode;
  }

  async list(): Promise<string[]> {
    return this.#isGone ? forever() : [...this.#names.keys()];
  }

  async open(name: string, mode: 'create' | 'read' | 'write'): Promise<DiskFile> {
    if (this.#isGone) return forever();
    if (mode !== 'create') return this.#file(this.#inode(name));
    const inode = new Inode();
    await this.operate(
      () => {
        if (this.#names.has(name)) throw diskError('EEXIST', name);
        this.#change((names) => names.set(name, inode));
      },
      () => undefined,
    );
    return this.#file(inode);
  }

  rename(from: string, to: string): Promise<void> {
    const work = () => {
      const inode = this.#inode(from);
      this.#change((names) => {
        names.delete(from);
        names.set(to, inode);
      });
    };
    return this.operate(work, () => this.#random.chance(0.5) && work());
  }

  unlink(name: string): Promise<void> {
    const work = () => {
      this.#stale.push(this.#inode(name).bytes);
      this.#change((names) => names.delete(name));
    };
    return this.operate(work, () => this.#random.chance(0.5) && work());
  }

  syncDirectory(): Promise<void> {
    const work = () => {
      for (const change of this.#changes.splice(0)) change(this.#durableNames);
    };
    return this.operate(work, () => this.#random.chance(0.5) && work());
  }

  /**
   * One counted operation.
   * @param work what it does when it succeeds. @param fail what it leaves behind when it does not.
   */
  async operate(work: () => void, fail: () => unknown): Promise<void> {
    if (this.#isGone) return forever();
    this.#operations++;
    const fault = this.#faults.get(this.#operations);
    if (this.#operations >= this.#stopAt) {
      if (this.#random.chance(0.5)) fail();
      this.#isGone = true;
      this.#stopped();
      return forever();
    }
    if (fault === 'hang') await new Promise<void>((resolve) => this.#hanging.push(resolve));
    else await this.#passTime();
    if (this.#isGone) return forever();
    if (fault === 'ENOSPC' || fault === 'EIO') {
      fail();
      throw diskError(fault, 'the simulated disk');
    }
    work();
  }

  #successor(from: Remains): SimulatedDisk {
    return new SimulatedDisk({ ...this.#options, seed: this.#random.uint32() }, from);
  }

  #file(inode: Inode): DiskFile {
    return new SimulatedFile(this, inode, this.#random);
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw diskError('ENOENT', name);
    return inode;
  }

  #change(change: Change): void {
    change(this.#names);
    this.#changes.push(change);
  }

  #passTime(): Promise<void> {
    const { clock, latencyMs } = this.#options;
    if (clock === undefined) return Promise.resolve();
    const delayMs = this.#random.fraction() * (latencyMs ?? 1);
    return new Promise((resolve) => clock.schedule(delayMs, resolve));
  }
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk;
  readonly #inode: Inode;
  readonly #random: SeededRandom;

  constructor(disk: SimulatedDisk, inode: Inode, random: SeededRandom) {
    this.#disk = disk;
    this.#inode = inode;
    this.#random = random;
  }

  async size(): Promise<number> {
    return this.#inode.size;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const bytes = this.#inode.bytes.subarray(position, position + target.length);
    target.set(bytes);
    return bytes.length;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    // The bytes are taken when the operation ends: a program that changes them earlier finds the change on the disk.
    const work = () => this.#inode.write(bytes, position);
    return this.#disk.operate(work, () => this.#writePart(bytes, position));
  }

  sync(): Promise<void> {
    const under = this.#inode.beginSync();
    return this.#disk.operate(
      () => this.#inode.endSync(under),
      () => this.#inode.failSync(under, this.#random),
    );
  }

  truncate(size: number): Promise<void> {
    const work = () => this.#inode.truncate(size);
    return this.#disk.operate(work, () => this.#random.chance(0.5) && work());
  }

  hasName(name: string): Promise<boolean> {
    return this.#disk.isNamed(this.#inode, name);
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  /** All, nothing, the beginning, or some sectors. */
  #writePart(bytes: Uint8Array, position: number): void {
    if (this.#random.chance(0.5)) {
      this.#inode.write(bytes.subarray(0, this.#random.below(bytes.length + 1)), position);
      return;
    }
    for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
      if (this.#random.chance(0.5)) this.#inode.write(bytes.subarray(at, at + SECTOR_BYTES), position + at);
    }
  }
}

function forever(): Promise<never> {
  return new Promise(() => undefined);
}

function diskError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
