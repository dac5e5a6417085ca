/**
 * Deadlines of the records that have one, and the sweep that removes expired records. A read never needs the sweep (it
 * compares with the clock); the sweep frees the memory.
 *
 * Many small tables, each for a stretch of record numbers and outside of the heap: none of them stalls when it grows,
 * and their memory is known to the byte.
 */
const STRETCH_LOG2 = 16;
const STRETCH_MASK = (1 << STRETCH_LOG2) - 1;
const CAPACITY_LOG2_MIN = 2;
/** Key and time. */
const PLACE_BYTES = 10;
/** Times are never negative. */
const NONE = -1;
const USED_PART_MAX = 0.75;
const USED_PART_MIN = 0.125;

/**
 * Open addressing: a key is at its home or, if that was taken, in the next places up to an empty one. A removal leaves
 * no mark: the keys after it move up.
 */
class Stretch {
  size = 0;
  #log2 = CAPACITY_LOG2_MIN;
  keys = new Uint16Array(1 << CAPACITY_LOG2_MIN);
  times = new Float64Array(1 << CAPACITY_LOG2_MIN).fill(NONE);

  get capacity(): number {
    return 1 << this.#log2;
  }

  /** Where the key is, or the empty place where it would be. */
  place(key: number): number {
    const { keys, times } = this;
    const mask = times.length - 1;
    let at = this.#home(key);
    while (times[at] !== NONE && keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  set(key: number, unixMs: number): void {
    let at = this.place(key);
    if (this.times[at] === NONE) {
      if (this.size + 1 > this.capacity * USED_PART_MAX) {
        this.#resize(this.#log2 + 1);
        at = this.place(key);
      }
      this.size++;
      this.keys[at] = key;
    }
    this.times[at] = unixMs;
  }

  clear(key: number): void {
    const { keys, times } = this;
    const mask = times.length - 1;
    let hole = this.place(key);
    if (times[hole] === NONE) return;
    for (let at = (hole + 1) & mask; times[at] !== NONE; at = (at + 1) & mask) {
      if (((at - this.#home(keys[at])) & mask) < ((at - hole) & mask)) continue;
      keys[hole] = keys[at];
      times[hole] = times[at];
      hole = at;
    }
    times[hole] = NONE;
    this.size--;
    if (this.#log2 > CAPACITY_LOG2_MIN && this.size < this.capacity * USED_PART_MIN) this.#resize(this.#log2 - 1);
  }

  #home(key: number): number {
    return Math.imul(key, 0x9e3779b1) >>> (32 - this.#log2);
  }

  #resize(log2: number): void {
    const { keys, times } = this;
    this.#log2 = log2;
    this.keys = new Uint16Array(this.capacity);
    this.times = new Float64Array(this.capacity).fill(NONE);
    for (let i = 0; i < times.length; i++) {
      if (times[i] === NONE) continue;
      const at = this.place(keys[i]);
      this.keys[at] = keys[i];
      this.times[at] = times[i];
    }
  }
}

export class Deadlines {
  readonly #stretches: (Stretch | undefined)[] = [];
  #size = 0;
  #places = 0;
  /** Where the sweep is. */
  #stretch = 0;
  #place = 0;

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#places * PLACE_BYTES;
  }

  /** Unix ms, or undefined. */
  get(ref: number): number | undefined {
    const stretch = this.#stretches[ref >>> STRETCH_LOG2];
    const unixMs = stretch?.times[stretch.place(ref & STRETCH_MASK)] ?? NONE;
    return unixMs === NONE ? undefined : unixMs;
  }

  /** @param unixMs not negative */
  set(ref: number, unixMs: number): void {
    const number = ref >>> STRETCH_LOG2;
    while (this.#stretches.length <= number) this.#stretches.push(undefined);
    const stretch = this.#stretches[number] ?? new Stretch();
    if (this.#stretches[number] === undefined) {
      this.#stretches[number] = stretch;
      this.#places += stretch.capacity;
    }
    const { size, capacity } = stretch;
    stretch.set(ref & STRETCH_MASK, unixMs);
    this.#size += stretch.size - size;
    this.#places += stretch.capacity - capacity;
  }

  clear(ref: number): void {
    const stretch = this.#stretches[ref >>> STRETCH_LOG2];
    if (stretch === undefined) return;
    const { size, capacity } = stretch;
    stretch.clear(ref & STRETCH_MASK);
    this.#size += stretch.size - size;
    this.#places += stretch.capacity - capacity;
  }

  /**
   * Checks up to `count` places, cycling through all of them over many calls, and calls back for each expired record,
   * at most `expiredMax`; the callback may clear it.
   * @returns how many had expired.
   */
  sweep(count: number, nowMs: number, expired: (ref: number) => void, expiredMax = count): number {
    let found = 0;
    const places = Math.min(count, this.#places + this.#stretches.length);
    for (let looked = 0; looked < places && found < expiredMax; looked++) {
      const stretch = this.#stretches[this.#stretch];
      if (stretch === undefined || this.#place >= stretch.times.length) {
        this.#place = 0;
        this.#stretch = (this.#stretch + 1) % this.#stretches.length;
        continue;
      }
      const at = this.#place;
      const unixMs = stretch.times[at];
      if (unixMs !== NONE && unixMs <= nowMs) {
        found++;
        expired(this.#stretch * (STRETCH_MASK + 1) + stretch.keys[at]);
        // Another one may have moved up.
        if (stretch.times[at] !== unixMs) continue;
      }
      this.#place++;
    }
    return found;
  }
}
