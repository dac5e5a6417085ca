/**
 * What a replica knows of one shared counter: the cut, the slots of the others, and what it has counted itself. Only
 * slots and cuts are kept, so whatever comes twice, late or in another order changes nothing; `others` is computed from
 * them, never merged.
 */
import { type Cut, noCut, total } from '../crdt/cut.ts';
import { type CounterState, exists, merge } from '../crdt/merge.ts';
import { NO_SLOT, newerSlot, type Slot } from '../crdt/slot.ts';
import type { ReplicaId } from '../store/slot-store.ts';

/**
 * `cold`: nothing is known of the others yet. `partial`: the store did not answer, and only what this replica has counted is
 * known. `warm`: as the region stood at the last poll.
 */
export type Warmth = 'cold' | 'partial' | 'warm';

export class SharedCounter {
  readonly name: string;
  warmth: Warmth = 'cold';
  /** Calls that need it, and may not find it gone. */
  pins = 0;
  /** Looked at since the last round of evictions. */
  isUsed = true;
  /** Where it lies in the list that evictions and listings go through. */
  position = 0;
  /** What this incarnation has counted, as of the last outcome. */
  ownNet = 0n;
  /** The same, as the journal holds it. */
  durableNet = 0n;
  /** Of adds whose outcome is not known yet. */
  underWay = 0n;
  /** The group that made the last change of it durable, or what the store had confirmed of it. */
  ownVersion = 0n;
  /** Unix seconds of the last change that was seen here. */
  updatedAtSeconds = 0;
  #own: ReplicaId;
  #slots: Map<ReplicaId, Slot> = new Map();
  #cut: Cut<ReplicaId> = noCut();
  #others = 0n;

  constructor(name: string, own: ReplicaId) {
    this.name = name;
    this.#own = own;
  }

  /** The value without what this incarnation has counted since the cut. Wider than 64 bits. */
  get others(): bigint {
    return this.#others;
  }

  get value(): bigint {
    return this.#others + this.ownNet;
  }

  /** As it stands in the journal. */
  get durableValue(): bigint {
    return this.#others + this.durableNet;
  }

  get cut(): Cut<ReplicaId> {
    return this.#cut;
  }

  get exists(): boolean {
    const folded = this.#cut.folded.get(this.#own) ?? NO_SLOT;
    if (this.ownNet !== folded.net || this.ownVersion > folded.version) return true;
    return exists({ slots: this.#slots, cut: this.#cut });
  }

  /** Whether a replica's slot is known here at this version, or a later one. */
  knows(replica: ReplicaId, version: bigint): boolean {
    if (replica === this.#own) return true;
    const known = this.#slots.get(replica)?.version ?? 0n;
    return known >= version || (this.#cut.folded.get(replica)?.version ?? 0n) >= version;
  }

  /** Takes what is newer. What the store says of the own slot is older or the same: the owner knows best. */
  merge(state: CounterState<ReplicaId>): void {
    const { slots, cut } = merge({ slots: this.#slots, cut: this.#cut }, state);
    this.#slots = slots as Map<ReplicaId, Slot>;
    this.#slots.delete(this.#own);
    this.#cut = cut;
    this.#compute();
  }

  mergeSlot(replica: ReplicaId, slot: Slot): void {
    this.#slots.set(replica, newerSlot(this.#slots.get(replica) ?? NO_SLOT, slot));
    this.#compute();
  }

  /**
   * This replica goes on under another id: what it has counted so far is a slot like those of the others.
   * @param version the newest durable group: that is how the slot stands in it. What is not durable yet comes with its group.
   */
  startAnew(own: ReplicaId, version: bigint): void {
    if (this.durableNet !== 0n || this.ownVersion > 0n) {
      this.mergeSlot(this.#own, { version, net: this.durableNet });
    }
    this.#own = own;
    this.ownNet = 0n;
    this.durableNet = 0n;
    this.ownVersion = 0n;
    this.#compute();
  }

  /** Folded slots count nothing; only their entries in the cut are kept. */
  #compute(): void {
    for (const [replica, { version }] of this.#slots) {
      if (version <= (this.#cut.folded.get(replica)?.version ?? 0n)) this.#slots.delete(replica);
    }
    this.#others = total(this.#slots, this.#cut) - (this.#cut.folded.get(this.#own)?.net ?? 0n);
  }
}
