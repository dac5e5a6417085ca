/**
 * Deadlines of the few records that have one, and the sweep that removes what has expired. A read never needs
 * the sweep (it compares with the clock); the sweep gives the memory back.
 */
export class Deadlines {
  readonly #byRef = new Map<number, number>();
  #sweep: Iterator<[number, number]> | undefined;

  get size(): number {
    return this.#byRef.size;
  }

  /** Unix ms, or undefined. */
  get(ref: number): number | undefined {
    return this.#byRef.get(ref);
  }

  set(ref: number, unixMs: number): void {
    this.#byRef.set(ref, unixMs);
  }

  clear(ref: number): void {
    this.#byRef.delete(ref);
  }

  /**
   * Looks at up to `count` records, going round through all of them over many calls, and calls back for each
   * that has expired; the callback may clear it.
   * @returns how many had expired.
   */
  sweep(count: number, nowMs: number, expired: (ref: number) => void): number {
    let found = 0;
    for (let looked = 0; looked < Math.min(count, this.#byRef.size); looked++) {
      this.#sweep ??= this.#byRef.entries();
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = undefined;
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
