/**
 * A store that is not used before it has said who it is, and that was found to be right. Where it is not known any more
 * (another one has come into its place, or it has lost its data) it is asked again, and used when it is the right one.
 */
import {
  type Guarantees,
  type SlotStore,
  StoreError,
  type StoreIdentity,
  StoreRefusal,
  UnknownStore,
} from '../store/slot-store.ts';
import { AttachError } from './attach.ts';

export class KnownStore implements SlotStore {
  readonly #inner: SlotStore;
  readonly #meet: () => Promise<StoreIdentity>;
  #term: string | undefined;
  #onTerm: () => void = () => undefined;
  #isKnown = false;
  #wasKnown = false;
  #asking: Promise<StoreIdentity> | undefined;

  /** @param meet asks it; rejects when it is another store: then no call gets there. */
  constructor(inner: SlotStore, meet: () => Promise<StoreIdentity>) {
    this.#inner = inner;
    this.#meet = meet;
  }

  get guarantees(): Guarantees {
    return this.#inner.guarantees;
  }

  /** The store's term, as it was last found. Undefined: it was not met yet. */
  get term(): string | undefined {
    return this.#term;
  }

  /** Calls back whenever it has another term, before anything that was read under that is given to anybody. */
  onTerm(changed: () => void): void {
    this.#onTerm = changed;
  }

  identity(): Promise<StoreIdentity> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  readonly merge: SlotStore['merge'] = (assertion) => this.#again((store) => store.merge(assertion));
  readonly read: SlotStore['read'] = (names) => this.#again((store) => store.read(names));
  readonly changes: SlotStore['changes'] = async (...since) => {
    const changes = await this.#again((store) => store.changes(...since));
    this.#found(changes.term);
    return changes;
  };
  readonly slotsOf: SlotStore['slotsOf'] = (...page) => this.#again((store) => store.slotsOf(...page));
  readonly lease: SlotStore['lease'] = (replica) => this.#again((store) => store.lease(replica));
  readonly leases: SlotStore['leases'] = () => this.#again((store) => store.leases());
  // A part of these may have been done, and a second answer would be no.
  readonly cut: SlotStore['cut'] = (requests) => this.#once((store) => store.cut(requests));
  readonly swapLease: SlotStore['swapLease'] = (...swap) => this.#once((store) => store.swapLease(...swap));

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #again<Answer>(call: (store: SlotStore) => Promise<Answer>): Promise<Answer> {
    try {
      return await this.#once(call);
    } catch (error) {
      if (!(error instanceof UnknownStore)) throw error;
      return this.#once(call);
    }
  }

  async #once<Answer>(call: (store: SlotStore) => Promise<Answer>): Promise<Answer> {
    if (!this.#isKnown) await this.identity();
    try {
      return await call(this.#inner);
    } catch (error) {
      if (error instanceof UnknownStore) this.#isKnown = false;
      throw error;
    }
  }

  #found(term: string): void {
    const isOther = this.#term !== undefined && this.#term !== term;
    this.#term = term;
    if (isOther) this.#onTerm();
  }

  async #ask(): Promise<StoreIdentity> {
    try {
      const identity = await this.#meet();
      this.#found(identity.term);
      this.#isKnown = true;
      this.#wasKnown = true;
      return identity;
    } catch (error) {
      const isRefused = error instanceof AttachError || error instanceof StoreRefusal;
      if (!this.#wasKnown || !isRefused) throw error;
      // Whoever counts already goes on, as without a store: what is wrong may be put right.
      throw new StoreError(error.message, { cause: error });
    }
  }
}
