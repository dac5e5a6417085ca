/**
 * A store that is not used before it has said who it is, and that was found to be right; which is asked again whenever its feed breaks
 * off, for then another one may have come into its place.
 */
import { type Guarantees, type SlotStore, StoreError, type StoreIdentity, StoreRefusal } from '../store/slot-store.ts';
import { AttachError } from './attach.ts';

export class KnownStore implements SlotStore {
  readonly #inner: SlotStore;
  readonly #check: (identity: StoreIdentity) => Promise<void>;
  #isKnown = false;
  #wasKnown = false;
  /** How often another one was found in its place, and may have confirmed what then is not here. */
  #strays = 0;
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
  readonly changes: SlotStore['changes'] = async (...since) => {
    const changes = await (await this.#known()).changes(...since);
    if (changes.resync) {
      this.#isKnown = false;
      await this.identity();
    }
    return { ...changes, term: `${changes.term}.${this.#strays}` };
  };
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
    try {
      const identity = await this.#inner.identity();
      await this.#check(identity);
      this.#isKnown = true;
      this.#wasKnown = true;
      return identity;
    } catch (error) {
      const isRefused = error instanceof AttachError || error instanceof StoreRefusal;
      if (!this.#wasKnown || !isRefused) throw error;
      // Whoever counts already goes on, as without a store: what is wrong may be put right.
      this.#strays++;
      throw new StoreError(error.message, { cause: error });
    }
  }
}
