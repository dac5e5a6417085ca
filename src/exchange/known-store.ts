/** A store that is not used before it has said who it is, and that was found to be right. */
import type { Guarantees, SlotStore, StoreIdentity } from '../store/slot-store.ts';

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

  readonly merge: SlotStore['merge'] = async (assertion) => (await this.#known()).merge(assertion);
  readonly read: SlotStore['read'] = async (names) => (await this.#known()).read(names);
  readonly changes: SlotStore['changes'] = async (...since) => (await this.#known()).changes(...since);
  readonly cut: SlotStore['cut'] = async (requests) => (await this.#known()).cut(requests);
  readonly slotsOf: SlotStore['slotsOf'] = async (...page) => (await this.#known()).slotsOf(...page);
  readonly lease: SlotStore['lease'] = async (replica) => (await this.#known()).lease(replica);
  readonly leases: SlotStore['leases'] = async () => (await this.#known()).leases();
  readonly swapLease: SlotStore['swapLease'] = async (...swap) => (await this.#known()).swapLease(...swap);

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #known(): Promise<SlotStore> {
    if (!this.#isKnown) await this.identity();
    return this.#inner;
  }

  async #ask(): Promise<StoreIdentity> {
    const identity = await this.#inner.identity();
    await this.#check(identity);
    this.#isKnown = true;
    return identity;
  }
}
