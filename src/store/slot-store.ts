/**
 * The slot store, through which the replicas of a region share their slots. This is the contract for implementations;
 * `conformance.ts` checks it on the real server.
 *
 * - **Everything is absolute.** `merge` takes slots and cuts and keeps the newer of each (`crdt/`), so a call may be
 *   repeated, overtaken or lost in any order without harm. A call that failed may have taken effect, wholly or in part.
 * - **A store never evicts, expires or truncates** a live slot, a cut or a lease. It may drop a slot that its counter's
 *   cut has folded at that very version or a later one (`isFolded`), if it is durable and no read can see the one
 *   without the other.
 * - **What the losing cut had folded** in a newer state than the winner becomes slots again (`givenBack`), together
 *   with the cut: in `merge`, whichever of the two was there before, and in `cut`, where another cut may have the
 *   version that was expected.
 * - **A counter's state** is its slots and its cut. What `read` returns for one name was true at one moment, unless the
 *   implementation reads the slots first and the cut second: then a folded slot may still be there, which counts
 *   nothing.
 * - **`changes` misses nothing**: everything that becomes visible after a cursor was issued is in what a later call
 *   with that cursor returns, or that call says `resync`. It may return things twice, and more than was asked.
 * - **What is in the store is input**: a record that cannot be read is said to be `damaged`, by the name of its
 *   counter, and the call goes on without it. A merge brings back what it can: a damaged slot when its replica says it
 *   again, a damaged cut when somebody has it.
 * - **A connection keeps to its store.** `identity` finds out which one is there. From then on a call reaches that
 *   store, or ends with `UnknownStore` and has done nothing: when another one has come into its place, or when it lost
 *   its data and has to be met again. A `read` and a `cut` also where it has another term, as far as that is known
 *   without asking a second time.
 * - **A store may go back in time** (a failover, a restore, a restart): then its `term` is another one. A durable one
 *   goes back as a whole, so where it has a lease as its replica wrote it last, it has all that it had confirmed before
 *   that.
 * - **Leases** are small documents that only a compare-and-set changes. The store does not look into them.
 * - **Every call ends** within the time limit that the implementation was given, with `StoreError` if need be. After
 *   one, the store goes on by itself: nobody has to connect again.
 */
import type { Cut } from '../crdt/cut.ts';
import type { CounterState } from '../crdt/merge.ts';

/** 128 random bits as 32 lower-case hexadecimal digits. */
export type ReplicaId = string;

/** A store's guarantees, shown to operators verbatim and read by code that depends on them. */
export interface Guarantees {
  /**
   * What it has confirmed is never taken back: not by a crash, not by a failover. Otherwise owners assert what they own
   * again when the `term` changes, and keep everything.
   */
  readonly durable: boolean;
  /** Sentences for people: what it survives, and what not. */
  readonly notes: readonly string[];
}

export interface StoreIdentity {
  /** Made at the store's first use, kept with its data. Another id is another store. */
  readonly id: string;
  /** Changes whenever what was confirmed may have been rolled back (a failover, a restore, a restart). */
  readonly term: string;
}

/** One replica's slot of one counter. Versions are from 1 to 2^63 - 1. */
export interface NamedSlot {
  /** 1 to 255 bytes of UTF-8, any character. */
  readonly name: string;
  readonly replica: ReplicaId;
  readonly version: bigint;
  readonly net: bigint;
}

export interface NamedCut {
  readonly name: string;
  readonly cut: Cut<ReplicaId>;
}

/** A counter's record in the store of which some part cannot be read, and why. */
export interface DamagedState {
  readonly name: string;
  readonly why: string;
}

/** A counter's state as the store has it. */
export interface StoredState extends CounterState<ReplicaId> {
  /** Why a part of it cannot be read; the rest of it is here. */
  readonly damage?: string;
}

/** Slots and cuts that travel together. No order, no duplicates of one slot or cut. */
export interface Assertion {
  readonly slots: readonly NamedSlot[];
  readonly cuts: readonly NamedCut[];
}

export interface Changes {
  /** What changed, as it is now or was in between; in no particular order, and perhaps several times. */
  readonly slots: readonly NamedSlot[];
  readonly cuts: readonly NamedCut[];
  /** Counters among those that changed whose records cannot be read wholly. */
  readonly damaged?: readonly DamagedState[];
  /** For the next call. An opaque string of printable ASCII. */
  readonly cursor: string;
  /** There may be changes that are not reported: reread everything held, after this call. */
  readonly resync: boolean;
  readonly term: string;
}

export interface SlotPage {
  readonly slots: readonly NamedSlot[];
  /** For the next page; undefined at the end. */
  readonly cursor: string | undefined;
}

export interface CutRequest {
  readonly name: string;
  /** The version of the cut that it replaces; 0 for none. `next.version` is larger. */
  readonly expectedVersion: bigint;
  readonly next: Cut<ReplicaId>;
}

export interface Lease {
  readonly replica: ReplicaId;
  /** Grows by one with every change; the first is 1. */
  readonly version: number;
  /** Up to 4 KiB of UTF-8 without NUL. */
  readonly document: string;
}

export interface SlotStore {
  readonly guarantees: Guarantees;

  /**
   * Which store is there; makes it on its first use: tables, scripts, its id. To be called before anything else; may be
   * called again.
   * @param expected the id of the store that was met before. Where nothing is durable, an empty store gets this id: it
   * was that one, and has lost its data. A durable one is not made again. Another store answers with its own id, and
   * nothing else reaches it.
   * @throws StoreRefusal also when there is no store where a durable one was met
   */
  identity(expected?: string): Promise<StoreIdentity>;

  /** Keeps the newer of every slot and cut. Resolves when the store has confirmed all of them as `guarantees` says. */
  merge(assertion: Assertion): Promise<void>;

  /** The states of these counters, in the order of the names; a counter that nobody knows has no slots and no cut. */
  read(names: readonly string[]): Promise<readonly StoredState[]>;

  /**
   * What changed since the cursor. Without one: nothing, `resync`, and a cursor that begins now.
   * @param reader whose own slots may be left out
   */
  changes(cursor: string | undefined, reader?: ReplicaId): Promise<Changes>;

  /**
   * Replaces cuts, each by compare-and-set on its version, independent of each other. A durable store drops the slots
   * that a new cut has folded. @returns per request whether it was made: never no for one that was, also where a call
   * is sent twice.
   */
  cut(requests: readonly CutRequest[]): Promise<readonly boolean[]>;

  /**
   * A replica's slots, page by page: each that is there from the first page to the last comes at least once. May be
   * slow.
   */
  slotsOf(replica: ReplicaId, cursor: string | undefined): Promise<SlotPage>;

  /**
   * The replica's lease as the last swap has left it; undefined when there is none. Costs no more however many leases
   * there are.
   */
  lease(replica: ReplicaId): Promise<Lease | undefined>;

  /** All leases, in no particular order. */
  leases(): Promise<readonly Lease[]>;

  /**
   * Replaces or, with `expectedVersion` 0, makes a lease with version `expectedVersion + 1`.
   * @returns whether it was made; false when the lease has another version.
   */
  swapLease(replica: ReplicaId, expectedVersion: number, document: string): Promise<boolean>;

  /** Ends connections and pending calls. */
  close(): Promise<void>;
}

/**
 * The store could not be reached, or did not answer in time, or not in a way that can be used. What was asked may have
 * happened.
 */
export class StoreError extends Error {
  override readonly name = 'StoreError';
}

/**
 * The store that is there is not known to be the one that `identity` found: it has to be asked again. Nothing was done.
 */
export class UnknownStore extends StoreError {}

/**
 * The store is there but must not be used as it is set up (an evicting policy, another format, missing rights). A start
 * ends with it.
 */
export class StoreRefusal extends Error {
  override readonly name = 'StoreRefusal';
}

/** Whether the cut contains this state of a slot: it counts nothing any more. */
export function isFolded(cut: Cut<ReplicaId>, slot: Omit<NamedSlot, 'name' | 'net'>): boolean {
  return slot.version <= (cut.folded.get(slot.replica)?.version ?? 0n);
}
