/** A store that is not used before it has said who it is, and that was found to be right. */
import type { CounterState } from '../crdt/merge.ts';
import type {
  Assertion,
  Changes,
  CutRequest,
  Guarantees,
  Lease,
  ReplicaId,
  SlotPage,
  SlotStore,
  StoreIdentity,
} from '../store/slot-store.ts';

export class KnownStore implements SlotStore {
  readonly #inner: SlotStore;
  readonly #check: (identity: StoreIdentity) => Promise<void>;
  #isKnown = false;
  #asking: Promise<StoreIdentity> | undefined;

  /** @param check rejects when it is another store: then no call gets there. */
  constructor(inner: SlotStore, check: (identity: StoreIdentity) => Promise<void>) {
    this.#inner = inner;
    this.#check = check;
  }

  get guarantees(): Guarantees {
    return this.#inner.guarantees;
  }

  identity(): Promise<StoreIdentity> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async merge(assertion: Assertion): Promise<void> {
    if (!this.#isKnown) await this.identity();
    return this.#inner.merge(assertion);
  }

  async read(names: readonly string[]): Promise<readonly CounterState<ReplicaId>[]> {
    if (!this.#isKnown) await this.identity();
    return this.#inner.read(names);
  }

  async changes(cursor: string | undefined, reader?: ReplicaId): Promise<Changes> {
    if (!this.#isKnown) await this.identity();
    return this.#inner.changes(cursor, reader);
  }

  async cut(requests: readonly CutRequest[]): Promise<readonly boolean[]> {
    if (!this.#isKnown) await this.identity();
    return this.#inner.cut(requests);
  }

  async slotsOf(replica: ReplicaId, cursor: string | undefined): Promise<SlotPage> {
    if (!this.#isKnown) await this.identity();
    return this.#inner.slotsOf(replica, cursor);
  }

  async leases(): Promise<readonly Lease[]> {
    if (!this.#isKnown) await this.identity();
    return this.#inner.leases();
  }

  async swapLease(replica: ReplicaId, expectedVersion: number, document: string): Promise<boolean> {
    if (!this.#isKnown) await this.identity();
    return this.#inner.swapLease(replica, expectedVersion, document);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #ask(): Promise<StoreIdentity> {
    const identity = await this.#inner.identity();
    await this.#check(identity);
    this.#isKnown = true;
    return identity;
  }
}
