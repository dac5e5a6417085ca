/**
 * Rereads everything that is held when the feed cannot show what has changed: page by page, beside the feed, and from
 * where it stopped if a read fails.
 */
import type { Loader } from './loader.ts';
import type { SharedCounter } from './shared-counter.ts';
import type { SharedCounters } from './shared-counters.ts';

const PAGE_COUNTERS = 1_000;

export class Refresh {
  readonly #counters: SharedCounters;
  readonly #loader: Loader;
  /** Counters below this position of the list are still to be read. */
  #left = 0;
  #isReading = false;
  #round = 0;

  constructor(counters: SharedCounters, loader: Loader) {
    this.#counters = counters;
    this.#loader = loader;
  }

  get isDone(): boolean {
    return this.#left === 0 && !this.#isReading;
  }

  /** From the beginning. */
  again(): void {
    this.#left = this.#counters.count;
    this.#round++;
  }

  /**
   * Reads what is left; to be called again after a failure. Also the cold ones: what a load under way has read may be
   * older than where the feed goes on from. They stay until that is done, for an eviction would take from the engine
   * what the read is about to compare with it.
   * @throws StoreError, CountingError
   */
  async step(): Promise<void> {
    while (this.#left > 0) {
      const end = Math.max(0, this.#left - PAGE_COUNTERS);
      const page: SharedCounter[] = [];
      // Backwards: see `SharedCounters`.
      for (let i = this.#left - 1; i >= end; i--) {
        const counter = this.#counters.at(i);
        if (counter !== undefined) page.push(counter);
      }
      await this.#read(page, end);
    }
  }

  async #read(page: readonly SharedCounter[], end: number): Promise<void> {
    const round = this.#round;
    this.#isReading = true;
    for (const counter of page) counter.pin();
    try {
      await this.#loader.refresh(page);
      // Unless it has begun anew meanwhile.
      if (this.#round === round) this.#left = end;
    } finally {
      for (const counter of page) counter.unpin();
      this.#isReading = false;
    }
  }
}
