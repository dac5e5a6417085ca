/**
 * One file of the simulated disk: what a reader sees (the system's cache) and what is on the disk for good. Between
 * them lie sectors that were written and not synced; a crash keeps or loses each of them by itself.
 */
import type { SeededRandom } from '../../src/std/random.ts';

export const SECTOR_BYTES = 512;

/** What a sync has taken up and not finished. */
export interface SyncUnderWay {
  readonly size: number;
  readonly sectors: ReadonlyMap<number, Uint8Array>;
}

export class Inode {
  #cached: Uint8Array;
  #durable: Uint8Array;
  readonly #dirty = new Set<number>();
  #isSizeDirty = false;

  constructor(content: Uint8Array = new Uint8Array()) {
    this.#cached = content;
    this.#durable = content.slice();
  }

  get size(): number {
    return this.#cached.length;
  }

  /** What a reader sees; not to be changed. */
  get bytes(): Uint8Array {
    return this.#cached;
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    if (end > this.#cached.length) {
      this.#cached = resized(this.#cached, end);
      this.#isSizeDirty = true;
    }
    this.#cached.set(bytes, position);
    const last = Math.floor((end - 1) / SECTOR_BYTES);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector <= last; sector++) this.#dirty.add(sector);
  }

  truncate(size: number): void {
    this.#cached = resized(this.#cached, size);
    this.#isSizeDirty = true;
    for (const sector of this.#dirty) if (sector * SECTOR_BYTES >= size) this.#dirty.delete(sector);
    if (size % SECTOR_BYTES !== 0) this.#dirty.add(Math.floor(size / SECTOR_BYTES));
  }

  beginSync(): SyncUnderWay {
    const sectors = new Map([...this.#dirty].map((sector) => [sector, this.#sector(this.#cached, sector).slice()]));
    return { size: this.#cached.length, sectors };
  }

  endSync({ size, sectors }: SyncUnderWay): void {
    this.#durable = resized(this.#durable, size);
    for (const [sector, bytes] of sectors) {
      this.#durable.set(bytes, sector * SECTOR_BYTES);
      if (Buffer.compare(bytes, this.#sector(this.#cached, sector)) === 0) this.#dirty.delete(sector);
    }
    if (size === this.#cached.length) this.#isSizeDirty = false;
  }

  /** Some of what the sync had taken up is on the disk; the system takes all of it for clean from now on. */
  failSync({ size, sectors }: SyncUnderWay, random: SeededRandom): void {
    if (random.chance(0.5)) this.#durable = resized(this.#durable, size);
    for (const [sector, bytes] of sectors) {
      const at = sector * SECTOR_BYTES;
      if (random.chance(0.5) && at + bytes.length <= this.#durable.length) this.#durable.set(bytes, at);
      this.#dirty.delete(sector);
    }
    this.#isSizeDirty = false;
  }

  /** What is there after the power went: every unsynced sector as it was or as it was to be, torn anywhere. */
  afterCrash(random: SeededRandom, stale: readonly Uint8Array[]): Inode {
    const content = resized(this.#durable, this.#sizeAfterCrash(random));
    fillStale(content, this.#durable.length, random, stale);
    for (const sector of this.#dirty) {
      if (random.chance(0.5)) continue;
      const at = sector * SECTOR_BYTES;
      if (at < content.length) content.set(this.#sector(this.#cached, sector).subarray(0, content.length - at), at);
    }
    return new Inode(content);
  }

  /** As if a bit had rotted on the disk and in no cache. */
  flip(offset: number, bit: number): void {
    this.#cached[offset] ^= 1 << bit;
    if (offset < this.#durable.length) this.#durable[offset] ^= 1 << bit;
  }

  #sizeAfterCrash(random: SeededRandom): number {
    const durable = this.#durable.length;
    const cached = this.#cached.length;
    if (!this.#isSizeDirty || durable === cached) return durable;
    if (cached > durable && random.chance(0.3)) return durable + random.below(cached - durable);
    return random.pick([durable, cached]);
  }

  #sector(bytes: Uint8Array, sector: number): Uint8Array {
    return bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  }
}

function resized(bytes: Uint8Array, size: number): Uint8Array {
  const result = new Uint8Array(size);
  result.set(bytes.subarray(0, size));
  return result;
}

/** Space that a file got and nothing was written to: zeros, or what another file had left there. */
function fillStale(content: Uint8Array, from: number, random: SeededRandom, stale: readonly Uint8Array[]): void {
  for (let at = Math.ceil(from / SECTOR_BYTES) * SECTOR_BYTES; at < content.length; at += SECTOR_BYTES) {
    if (stale.length === 0 || random.chance(0.5)) continue;
    const old = random.pick(stale);
    if (old.length < SECTOR_BYTES) continue;
    const sector = random.below(Math.floor(old.length / SECTOR_BYTES)) * SECTOR_BYTES;
    content.set(old.subarray(sector, sector + Math.min(SECTOR_BYTES, content.length - at)), at);
  }
}
