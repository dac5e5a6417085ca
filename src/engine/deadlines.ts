/**
 * Deadlines of the records that have one, and the sweep that removes what has expired. A read never needs the
 * sweep (it compares with the clock); the sweep gives the memory back.
 *
 * Many maps, each for a stretch of record numbers: a single one can't hold more than 2^24, and stalls for seconds
 * when it grows.
 */
const STRETCH_LOG2 = 16;

export class Deadlines {
  readonly #stretches: Map<number, number>[] = [];
  #size = 0;
  /** Where the sweep is. */
  #stretch = 0;
  #sweep: Iterator<[number, number]> | undefined;

  get size(): number {
    return this.#size;
  }

  /** Unix ms, or undefined. */
  get(ref: number): number | undefined {
    return this.#stretches[ref >>> STRETCH_LOG2]?.get(ref);
  }

  set(ref: number, unixMs: number): void {
    const stretch = ref >>> STRETCH_LOG2;
    while (this.#stretches.length <= stretch) this.#stretches.push(new Map());
    const deadlines = this.#stretches[stretch];
    this.#size -= deadlines.size;
    deadlines.set(ref, unixMs);
    this.#size += deadlines.size;
  }

  clear(ref: number): void {
    if (this.#stretches[ref >>> STRETCH_LOG2]?.delete(ref) === true) this.#size--;
  }

  /**
   * Looks at up to `count` records, going round through all of them over many calls, and calls back for each
   * that has expired; the callback may clear it.
   * @returns how many had expired.
   */
  sweep(count: number, nowMs: number, expired: (ref: number) => void): number {
    let found = 0;
    for (let looked = 0; looked < Math.min(count, this.#size + this.#stretches.length); looked++) {
      this.#sweep ??= this.#stretches[this.#stretch].entries();
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = undefined;
        this.#stretch = (this.#stretch + 1) % this.#stretches.length;
        continue;
      }
      const [ref, deadlineMs] = next.value;
      if (deadlineMs > nowMs) continue;
      found++;
      expired(ref);
    }
    return found;
  }
}
