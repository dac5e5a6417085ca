/**
 * Follows the store's feed: applies the counts of others to the counters that this replica holds. Other counters are
 * ignored, and read when they are used.
 */
import type { Host } from '../host/host.ts';
import type { Changes, ReplicaId, SlotStore } from '../store/slot-store.ts';
import { Backoff, Pauses } from './pause.ts';

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2_000;

export interface FollowerOptions {
  readonly store: SlotStore;
  readonly host: Host;
  readonly pollMs: number;
  /** The reader, whose own slots are left out. */
  readonly replica: () => ReplicaId;
  readonly changed: (changes: Changes) => Promise<void>;
  /** There may be changes that the feed does not show: everything held must be read again, beside the feed. */
  readonly resync: () => void;
  /** Whether that is done, and the store has everything that it had confirmed. */
  readonly isComplete: () => boolean;
  /** The store's term: the one under which it has just answered. */
  readonly term: () => string | undefined;
  /**
   * The version up to which the store has confirmed everything, as stated in our lease; reported again when the term is
   * unchanged afterwards.
   */
  readonly leasedThrough: () => bigint;
  readonly proven: (through: bigint) => void;
  /** Told of every poll that was answered. */
  readonly answered: () => void;
  readonly failed: (error: unknown) => void;
}

export class Follower {
  readonly #options: FollowerOptions;
  readonly #backoff: Backoff;
  readonly #pauses: Pauses;
  #cursor: string | undefined;
  #asOfMs = 0;
  #isAnswering = false;
  #isClosed = false;
  #running: Promise<void> | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#pauses = new Pauses(options.host.clock);
    this.#backoff = new Backoff(options.host.random, RETRY_MS_MIN, RETRY_MS_MAX);
  }

  /**
   * Everything that the store had confirmed at this time, Unix ms by this machine's clock, is known here. 0: nothing
   * yet.
   */
  get asOfMs(): number {
    return this.#asOfMs;
  }

  /** Whether the last poll was answered. */
  get isAnswering(): boolean {
    return this.#isAnswering;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Polls again at once. */
  hurry(): void {
    this.#pauses.skip();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pauses.end();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const isDone = await this.#poll();
      await this.#pauses.take(isDone ? this.#options.pollMs : this.#backoff.next());
    }
  }

  async #poll(): Promise<boolean> {
    try {
      const beganMs = this.#options.host.clock.nowMs();
      const { term, isComplete } = this.#options;
      const [before, wasComplete, leasedThrough] = [term(), isComplete(), this.#options.leasedThrough()];
      const changes = await this.#options.store.changes(this.#cursor, this.#options.replica());
      if (term() === before) this.#options.proven(leasedThrough);
      await this.#options.changed(changes);
      // The feed continues at once, because its changes merge in any order; a feed that waited might never catch up.
      if (changes.resync) this.#options.resync();
      this.#cursor = changes.cursor;
      if (wasComplete && isComplete()) this.#asOfMs = beganMs;
      this.#isAnswering = true;
      this.#backoff.reset();
      this.#options.answered();
      return true;
    } catch (error) {
      this.#isAnswering = false;
      this.#options.failed(error);
      return false;
    }
  }
}
