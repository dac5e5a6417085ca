// Load on a slot store, for tests that break it meanwhile: owners that count, and followers of the feed.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeenStates } from '../../src/store/conformance-bench.ts';
import { type NamedSlot, type SlotStore, StoreError } from '../../src/store/slot-store.ts';

/** A store that fails at once must not keep the test's process from anything else. */
const PAUSE_MS = 5;
const LAST_TRIES = 20;
const LAST_PAUSE_MS = 100;

/** Does something over and over, and keeps what went wrong. */
abstract class Repeated {
  readonly failures: unknown[] = [];
  protected readonly store: SlotStore;
  #isRunning = false;
  #done: Promise<void> | undefined;

  constructor(store: SlotStore) {
    this.store = store;
  }

  start(): void {
    this.#isRunning = true;
    this.#done = this.#run();
  }

  /** Once more to its end, after what is under way. A store that has lost data is met anew, as a region does. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#done;
    for (let left = LAST_TRIES; ; left--) {
      try {
        await this.once();
        return;
      } catch (error) {
        if (left === 0 || !(error instanceof StoreError)) throw error;
        await sleep(LAST_PAUSE_MS);
        await this.store.identity().catch(() => undefined);
      }
    }
  }

  protected abstract once(): Promise<void>;

  async #run(): Promise<void> {
    while (this.#isRunning) {
      try {
        await this.once();
      } catch (error) {
        this.failures.push(error);
        await sleep(PAUSE_MS, undefined, { ref: false });
      }
    }
  }
}

/** A replica that raises its slots again and again, and knows what it has counted. */
export class Owner extends Repeated {
  readonly #replica = randomBytes(16).toString('hex');
  readonly #names: readonly string[];
  #version = 0n;

  constructor(store: SlotStore, names: readonly string[]) {
    super(store);
    this.#names = names;
  }

  get slots(): NamedSlot[] {
    return this.#names.map((name) => ({
      name,
      replica: this.#replica,
      version: this.#version,
      net: 3n * this.#version,
    }));
  }

  get net(): bigint {
    return 3n * this.#version;
  }

  assert(): Promise<void> {
    return this.store.merge({ slots: this.slots, cuts: [] });
  }

  protected async once(): Promise<void> {
    this.#version++;
    await this.assert();
  }
}

/** Reads the feed again and again, as a replica does. */
export class Follower extends Repeated {
  readonly #seen = new SeenStates();
  #cursor: string;
  resyncs = 0;
  term = '';

  constructor(store: SlotStore, cursor: string) {
    super(store);
    this.#cursor = cursor;
  }

  totalOf(name: string): bigint {
    return this.#seen.total(name);
  }

  protected async once(): Promise<void> {
    const changes = await this.store.changes(this.#cursor);
    this.#cursor = changes.cursor;
    this.term = changes.term;
    if (changes.resync) this.resyncs++;
    this.#seen.take(changes);
  }
}
