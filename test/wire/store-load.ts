// Load on a slot store, for tests that break it meanwhile: owners that count, and followers of the feed.

import { randomBytes } from 'node:crypto';
import { SeenStates } from '../../src/store/conformance-bench.ts';
import type { NamedSlot, SlotStore } from '../../src/store/slot-store.ts';

/** Does something over and over, and keeps what went wrong. */
abstract class Repeated {
  readonly failures: unknown[] = [];
  #isRunning = false;
  #done: Promise<void> | undefined;

  start(): void {
    this.#isRunning = true;
    this.#done = this.#run();
  }

  /** Once more to its end, after what is under way. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#done;
    await this.once();
  }

  protected abstract once(): Promise<void>;

  async #run(): Promise<void> {
    while (this.#isRunning) await this.once().catch((error: unknown) => this.failures.push(error));
  }
}

/** A replica that raises its slots again and again, and knows what it has counted. */
export class Owner extends Repeated {
  readonly #replica = randomBytes(16).toString('hex');
  readonly #store: SlotStore;
  readonly #names: readonly string[];
  #version = 0n;

  constructor(store: SlotStore, names: readonly string[]) {
    super();
    this.#store = store;
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
    return this.#store.merge({ slots: this.slots, cuts: [] });
  }

  protected async once(): Promise<void> {
    this.#version++;
    await this.assert();
  }
}

/** Reads the feed again and again, as a replica does. */
export class Follower extends Repeated {
  readonly #store: SlotStore;
  readonly #seen = new SeenStates();
  #cursor: string;
  resyncs = 0;
  term = '';

  constructor(store: SlotStore, cursor: string) {
    super();
    this.#store = store;
    this.#cursor = cursor;
  }

  totalOf(name: string): bigint {
    return this.#seen.total(name);
  }

  protected async once(): Promise<void> {
    const changes = await this.#store.changes(this.#cursor);
    this.#cursor = changes.cursor;
    this.term = changes.term;
    if (changes.resync) this.resyncs++;
    this.#seen.take(changes);
  }
}
