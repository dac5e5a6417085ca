/**
 * A store that is used only after its identity was checked. If it is no longer known (another store has taken its
 * place, or it has lost its data), its identity is queried again, and it is used once it is the right one.
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

  /** @param meet queries the identity; rejects for another store: then no call reaches it. */
  constructor(inner: SlotStore, meet: () => Promise<StoreIdentity>) {
    this.#inner = inner;
    this.#meet = meet;
  }

  get guarantees(): Guarantees {
    return this.#inner.guarantees;
  }

  /** The store's last known term. Undefined: not connected yet. */
  get term(): string | undefined {
    return this.#term;
  }

  /** Calls back whenever the term changes, before any data read under the new term is returned. */
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
  // A part of these may have been done, and a repeated compare-and-set would be refused.
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
      // Running nodes keep counting, as without a store: the problem may be fixed.
      throw new StoreError(error.message, { cause: error });
    }
  }
}
