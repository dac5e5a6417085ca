/**
 * What a replica knows of one shared counter: the cut, the slots of the others, and what it has counted itself. Only
 * slots and cuts are kept, so a state that arrives twice, late or out of order changes nothing; `others` is computed
 * from them, never merged.
 */
import { fitsInt64, int64OfLanes } from '../counter/int64.ts';
import { type Cut, noCut, total } from '../crdt/cut.ts';
import { type CounterState, exists, givenBack, merge } from '../crdt/merge.ts';
import { isForked, NO_SLOT, newerSlot, noSlots, type Slot, type Slots } from '../crdt/slot.ts';
import { assert } from '../std/assert.ts';
import type { NamedSlot, ReplicaId } from '../store/slot-store.ts';

/**
 * `cold`: nothing is known of the others yet. `partial`: the store did not answer, and only what this replica has
 * counted is known. `warm`: as the region stood at the last poll.
 */
export type Warmth = 'cold' | 'partial' | 'warm';

/** A quarter of the range in either direction. */
const ROOMY_HIGH_LANE = 2 ** 29;

/** Measured: a counter on which nobody else counts, with its record in the engine, which has the name once more. */
const COUNTER_BYTES = 420;
const NAME_CHARACTER_BYTES = 2;
/** Slots of others, or those that a cut has folded: having any, and each of them. */
const SLOTS_BYTES = 190;
const SLOT_BYTES = 100;
/** Without what it has folded. */
const CUT_BYTES = 330;

/** What is found out about a counter when states of it come together. */
export interface CounterWatch {
  /** By how many bytes it has grown, while it is in the list. */
  readonly resized: (bytes: number) => void;
  /** The losing cut had folded this, and the winner had not: the store may not have it. */
  readonly givenBack: (slot: NamedSlot) => void;
  /** It has another cut. */
  readonly cut: (name: string, cut: Cut<ReplicaId>) => void;
  /** One version of a replica's slot came with two contents. */
  readonly forked: (name: string, replica: ReplicaId) => void;
  /** Its value may be another one, of what is durable here and what others have. */
  readonly changed: (counter: SharedCounter) => void;
}

/** Nobody wants to know. */
export const UNWATCHED: CounterWatch = {
  resized: () => undefined,
  givenBack: () => undefined,
  cut: () => undefined,
  forked: () => undefined,
  changed: () => undefined,
};

/**
 * The id under which a replica counts: one object for all its counters. So when the replica goes on under another one,
 * all of them do at once, however many there are; each puts aside what it has counted under the past id when it is next
 * touched.
 */
export class OwnId {
  readonly replica: ReplicaId;
  #next: { readonly own: OwnId; readonly version: bigint } | undefined;

  constructor(replica: ReplicaId) {
    this.replica = replica;
  }

  /** The id after this one, and the newest group that was durable then. */
  get next(): { readonly own: OwnId; readonly version: bigint } | undefined {
    return this.#next;
  }

  /** The replica goes on under another id. @param version the newest durable group */
  end(replica: ReplicaId, version: bigint): OwnId {
    assert(this.#next === undefined && replica !== this.replica, 'an id ends once, and never comes back');
    const own = new OwnId(replica);
    this.#next = { own, version };
    return own;
  }
}

export class SharedCounter {
  readonly name: string;
  warmth: Warmth = 'cold';
  /** The store's record of it cannot be read. */
  isDamaged = false;
  /** Calls that need it, and may not find it gone. */
  #pins = 0;
  /** Looked at since the last round of evictions. */
  isUsed = true;
  /** Where it lies in the list that evictions and listings go through; -1: not there (any more). */
  position = -1;
  /** Of adds near the ends of 64 bits whose outcome is not known yet. */
  underWay = 0n;
  /** Unix seconds of the last change that was seen here. */
  updatedAtSeconds = 0;
  readonly #watch: CounterWatch;
  /** Where it has a next one, `#catchUp` is due before anything that is the incarnation's own is read or changed. */
  #own: OwnId;
  /** What this incarnation has counted, as the journal holds it. */
  #durableNet = 0n;
  /** The group that made the last change of that durable, or what the store had confirmed of it. */
  #ownVersion = 0n;
  #slots: Slots<ReplicaId> = noSlots();
  #cut: Cut<ReplicaId> = noCut();
  /** What this incarnation has counted, as of the last outcome: two lanes, for an increment makes no `bigint`. */
  #ownLow = 0;
  #ownHigh = 0;
  /**
   * Computed from slots and cut: what the others have counted, in lanes where it fits, and whether that makes the
   * counter exist.
   */
  #others = 0n;
  #othersLow = 0;
  #othersHigh = 0;
  #othersFit = true;
  #othersExist = false;
  #folded: Slot = NO_SLOT;
  #left: { readonly replica: ReplicaId; readonly net: bigint } | undefined;

  constructor(name: string, own: OwnId, watch: CounterWatch) {
    this.name = name;
    this.#own = own;
    this.#watch = watch;
  }

  get isPinned(): boolean {
    return this.#pins > 0;
  }

  pin(): void {
    this.#pins++;
  }

  /** A call is done with it. @returns whether that was the last one */
  unpin(): boolean {
    assert(this.#pins > 0, 'pins are never negative');
    if (--this.#pins > 0) return false;
    assert(this.underWay === 0n, 'nothing is under way on a counter that no call needs');
    return true;
  }

  /** An estimate of the memory that it takes, with its record in the engine. */
  get bytes(): number {
    const cutBytes = this.#cut.version === 0n ? 0 : CUT_BYTES + bytesOf(this.#cut.folded);
    return COUNTER_BYTES + this.name.length * NAME_CHARACTER_BYTES + bytesOf(this.#slots) + cutBytes;
  }

  /** What this incarnation has counted, as of the last outcome. */
  get ownNet(): bigint {
    this.#catchUp();
    return this.#appliedNet;
  }

  /** What it has counted, as the journal holds it. */
  get durableNet(): bigint {
    this.#catchUp();
    return this.#durableNet;
  }

  /** The group that made the last change of that durable, or what the store had confirmed of it. */
  get ownVersion(): bigint {
    this.#catchUp();
    return this.#ownVersion;
  }

  /** The sum of all, under whichever id. */
  get value(): bigint {
    return this.#others + this.#appliedNet;
  }

  /** As it stands in the journal. */
  get durableValue(): bigint {
    return this.#others + this.#durableNet;
  }

  get cut(): Cut<ReplicaId> {
    return this.#cut;
  }

  /** Those of the others. */
  get slots(): Slots<ReplicaId> {
    this.#catchUp();
    return this.#slots;
  }

  /** All that is known of it, the own slot as it is durable. */
  get known(): CounterState<ReplicaId> {
    this.#catchUp();
    if (this.#ownVersion === 0n) return { slots: this.#slots, cut: this.#cut };
    const own = { version: this.#ownVersion, net: this.#durableNet };
    return { slots: new Map(this.#slots).set(this.#own.replica, own), cut: this.#cut };
  }

  /** The store's record of it cannot be read: what others count may be missing here, until it can be. */
  damage(): void {
    this.isDamaged = true;
    if (this.warmth === 'warm') this.warmth = 'partial';
  }

  /** Everything that the store has of it is here. */
  warm(): void {
    this.isDamaged = false;
    this.warmth = 'warm';
    this.#watch.changed(this);
  }

  /** Whether it exists as it stands in the journal. */
  get durableExists(): boolean {
    this.#catchUp();
    if (this.#othersExist) return true;
    return this.#folded === NO_SLOT ? this.#ownVersion > 0n : this.#durableNet !== this.#folded.net;
  }

  get exists(): boolean {
    if (this.#othersExist) return true;
    // On the path of an increment, which makes no `bigint`.
    if (this.#folded === NO_SLOT) return this.#ownLow !== 0 || this.#ownHigh !== 0 || this.#ownVersion > 0n;
    return this.#appliedNet !== this.#folded.net;
  }

  /** No replica has ever counted on it, as far as known here. */
  get isVoid(): boolean {
    const isUncounted = this.#ownVersion === 0n && this.#appliedNet === 0n && this.#durableNet === 0n;
    return isUncounted && this.#slots.size === 0 && this.#cut.version === 0n;
  }

  /**
   * Whether the value is so far from the ends of 64 bits that no amount of 32 bits, nor all that are under way, leads
   * there.
   */
  get isRoomy(): boolean {
    const high = this.#othersHigh + this.#ownHigh;
    return this.#othersFit && high > -ROOMY_HIGH_LANE && high < ROOMY_HIGH_LANE;
  }

  /** What this incarnation has counted now, as two lanes. */
  setOwn(low: number, high: number): void {
    this.#catchUp();
    this.#ownLow = low;
    this.#ownHigh = high;
  }

  /** What this incarnation has counted is durable. */
  tookOwn({ version, net }: Slot): void {
    this.#catchUp();
    this.#ownVersion = version;
    this.#durableNet = net;
    this.#watch.changed(this);
  }

  /**
   * What the store had confirmed of this incarnation, and the journal has of it. @param net undefined: it stays as it
   * is known here
   */
  loadOwn(version: bigint, net: bigint | undefined): void {
    this.#catchUp();
    if (this.#ownVersion < version) this.#ownVersion = version;
    if (net === undefined) return;
    this.#durableNet = net;
    this.setOwn(Number(BigInt.asIntN(32, net)), Number(BigInt.asIntN(32, net >> 32n)));
  }

  /** Writes the value as two lanes. @returns false when it does not fit. */
  writeValue(lanes: Int32Array, at: number): boolean {
    const low = (this.#othersLow + this.#ownLow) | 0;
    const high = (this.#othersHigh + this.#ownHigh + (low >>> 0 < this.#othersLow >>> 0 ? 1 : 0)) | 0;
    if (!this.#othersFit || ((this.#othersHigh ^ high) & (this.#ownHigh ^ high)) < 0) return false;
    lanes[at] = low;
    lanes[at + 1] = high;
    return true;
  }

  /** Whether a replica's slot is known here at this version, or a later one. */
  knows(replica: ReplicaId, version: bigint): boolean {
    this.#catchUp();
    if (replica === this.#own.replica) return true;
    const known = this.#slots.get(replica)?.version ?? 0n;
    return known >= version || (this.#cut.folded.get(replica)?.version ?? 0n) >= version;
  }

  /**
   * Takes what is newer. What the store says of the own slot is older or the same: the owner knows best.
   * @returns whether the value is another one now
   */
  merge(state: CounterState<ReplicaId>): boolean {
    this.#catchUp();
    return this.#merge(state);
  }

  #merge(state: CounterState<ReplicaId>): boolean {
    const before = this.bytes;
    for (const [replica, slot] of state.slots) this.#checkFork(replica, slot);
    const { slots, cut } = merge({ slots: this.#slots, cut: this.#cut }, state);
    if (cut.version > 0n) this.#giveBack(cut === this.#cut ? state.cut : this.#cut, cut);
    // Folded slots count nothing; only their entries in the cut are kept.
    const others = slots as Map<ReplicaId, Slot>;
    others.delete(this.#own.replica);
    for (const [replica, { version }] of others) {
      if (version <= (cut.folded.get(replica)?.version ?? 0n)) others.delete(replica);
    }
    this.#slots = others.size === 0 ? noSlots() : others;
    if (cut !== this.#cut) this.#watch.cut(this.name, cut);
    this.#cut = cut;
    const isChanged = this.#compute();
    if (this.position >= 0) this.#watch.resized(this.bytes - before);
    return isChanged;
  }

  /** The same with one slot. */
  mergeSlot(replica: ReplicaId, slot: Slot): boolean {
    this.#catchUp();
    const known = this.#slots.get(replica);
    if (known === undefined) return this.#merge({ slots: new Map([[replica, slot]]), cut: noCut() });
    this.#checkFork(replica, slot);
    // What nearly all of the feed is takes no copies.
    const newer = newerSlot(known, slot);
    if (newer === known) return false;
    (this.#slots as Map<ReplicaId, Slot>).set(replica, newer);
    return this.#compute();
  }

  /**
   * What it has counted under a past id is a slot like those of the others, as it stood in the group that was durable
   * when that ended. What was not durable then comes with its group, and nothing has touched the counter since.
   */
  #catchUp(): void {
    for (let next = this.#own.next; next !== undefined; next = this.#own.next) {
      const [past, net, applied] = [this.#own.replica, this.#durableNet, this.#appliedNet];
      const hasCounted = net !== 0n || this.#ownVersion > 0n;
      this.#own = next.own;
      this.#ownLow = 0;
      this.#ownHigh = 0;
      this.#durableNet = 0n;
      this.#ownVersion = 0n;
      this.#merge({ slots: hasCounted ? new Map([[past, { version: next.version, net }]]) : noSlots(), cut: noCut() });
      if (applied !== net) this.#keepLeft(past, applied);
    }
  }

  /**
   * What was counted here under an earlier id and answered: reads show it also before it is durable, and comes there as
   * a slot.
   */
  left(replica: ReplicaId, net: bigint): void {
    this.#catchUp();
    this.#keepLeft(replica, net);
  }

  #keepLeft(replica: ReplicaId, net: bigint): void {
    this.#left = { replica, net };
    this.#compute();
  }

  get #appliedNet(): bigint {
    return int64OfLanes(this.#ownLow, this.#ownHigh);
  }

  /** How much of that is not among the slots yet. */
  #unsynced(): bigint {
    if (this.#left === undefined) return 0n;
    const { replica, net } = this.#left;
    const known = newerSlot(this.#slots.get(replica) ?? NO_SLOT, this.#cut.folded.get(replica) ?? NO_SLOT);
    if (known.net === net) this.#left = undefined;
    return net - known.net;
  }

  #giveBack(loser: Cut<ReplicaId>, winner: Cut<ReplicaId>): void {
    for (const [replica, slot] of givenBack(loser, winner)) {
      this.#watch.givenBack({ name: this.name, replica, ...slot });
    }
  }

  #checkFork(replica: ReplicaId, slot: Slot): void {
    const known = this.#slots.get(replica);
    if (known !== undefined && isForked(known, slot)) this.#watch.forked(this.name, replica);
  }

  /** @returns whether the value is another one */
  #compute(): boolean {
    const before = this.#others;
    const didExist = this.#othersExist;
    this.#folded = this.#cut.folded.get(this.#own.replica) ?? NO_SLOT;
    this.#others = total(this.#slots, this.#cut) - this.#folded.net + this.#unsynced();
    this.#othersExist = exists({ slots: this.#slots, cut: this.#cut });
    this.#othersFit = fitsInt64(this.#others);
    this.#othersLow = Number(BigInt.asIntN(32, this.#others));
    this.#othersHigh = Number(BigInt.asIntN(32, this.#others >> 32n));
    if (this.#others !== before || this.#othersExist !== didExist) this.#watch.changed(this);
    return this.#others !== before;
  }
}

function bytesOf({ size }: Slots<ReplicaId>): number {
  return size === 0 ? 0 : SLOTS_BYTES + size * SLOT_BYTES;
}
