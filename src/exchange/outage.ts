/**
 * What goes wrong between this replica and its store or its disk: reported once, and repaired when the store answers
 * again. Failed operations are retried, because an unreachable store comes back, and so does room on a disk.
 */
import { CountingError } from '../counter/errors.ts';
import { StoreError } from '../store/slot-store.ts';
import { AttachError } from './attach.ts';
import { IdentityWriteError } from './identity.ts';
import type { Loader } from './loader.ts';
import type { RegionOptions } from './region-options.ts';
import type { SharedCounter } from './shared-counter.ts';
import type { SharedCounters } from './shared-counters.ts';

/** Counters looked at in one turn. */
const PAGE_COUNTERS = 1_000;
/**
 * A store that is being loaded or started refuses one call and answers the next: so long nothing may fail before it
 * counts as back.
 */
const HOLDS_MS = 5_000;

export interface OutageOptions
  extends Pick<RegionOptions, 'host' | 'onFailure' | 'onRepaired' | 'onUnwritten' | 'onFatal'> {
  readonly counters: SharedCounters;
  readonly loader: () => Loader;
  /** A stop is under way: it does not wait for what fails. */
  readonly isClosing: () => boolean;
  readonly giveUp: () => void;
}

export class Outage {
  readonly #options: OutageOptions;
  /** Since the store has last answered: something could not be done. */
  #hasFailed = false;
  /** That the store is the reason was reported, and not yet that it is back. */
  #isReported = false;
  /** When something failed last, by the monotonic clock. */
  #failedAtMs = 0;
  #isAnotherReported = false;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** The store has answered, as it does many times a second: what could not be read meanwhile is read now. */
  answered(): void {
    if (this.#hasFailed) {
      this.#hasFailed = false;
      this.loadPartial();
    }
    if (!this.#isReported || this.#options.host.clock.monotonicMs() - this.#failedAtMs < HOLDS_MS) return;
    this.#isReported = false;
    this.#isAnotherReported = false;
    this.#options.onRepaired();
  }

  /** Something failed. An impossible failure ends the process. */
  failed(error: unknown): void {
    if (error instanceof IdentityWriteError) {
      if (error.isFirst) this.#options.onUnwritten(error);
      return;
    }
    // The engine itself reports a failing journal.
    if (!(error instanceof StoreError) && !(error instanceof CountingError)) {
      this.#options.onFatal(error);
      return;
    }
    this.#hasFailed = true;
    this.#failedAtMs = this.#options.host.clock.monotonicMs();
    if (this.#options.isClosing()) {
      this.#options.giveUp();
    } else if (error instanceof StoreError) {
      this.#report(error);
    }
  }

  /** Once; and again if it turns out to be another store. */
  #report(error: StoreError): void {
    const isAnother = error.cause instanceof AttachError;
    if (this.#isReported && (!isAnother || this.#isAnotherReported)) return;
    this.#isReported = true;
    this.#isAnotherReported = isAnother;
    this.#options.onFailure(error);
  }

  /** Reads counters of which only a part is known, page by page. Backwards: see `SharedCounters`. */
  loadPartial(from = this.#options.counters.count): void {
    const { counters, loader, host } = this.#options;
    const partial: SharedCounter[] = [];
    const end = Math.max(0, from - PAGE_COUNTERS);
    for (let i = from - 1; i >= end; i--) {
      const counter = counters.at(i);
      if (counter?.warmth === 'partial') partial.push(counter);
    }
    if (partial.length > 0) loader().load(partial, () => undefined);
    if (end > 0) host.clock.soon(() => this.loadPartial(end));
  }
}
