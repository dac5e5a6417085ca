/**
 * The state of a counter that many replicas share, and the one function that merges copies of it. A product of chains
 * is a join-semilattice, so `merge` accepts any states, any number of times, in any order.
 *
 * If a store went back in time, two cuts can exist that have not seen each other. The winner's base and existence stay
 * as they are. What the loser had folded are true states of slots whose rows may be gone since, so they become slots
 * again: no increment depends on which set won.
 */
import { type Cut, isCountedSince, newerCut } from './cut.ts';
import { mergeSlots, NO_SLOT, type Slot, type Slots } from './slot.ts';

export interface CounterState<Replica> {
  readonly slots: Slots<Replica>;
  readonly cut: Cut<Replica>;
}

/** Everything that both states know: the newer slots, the newer cut, and what only the older cut had folded. */
export function merge<Replica>(a: CounterState<Replica>, b: CounterState<Replica>): CounterState<Replica> {
  const cut = newerCut(a.cut, b.cut);
  const slots = mergeSlots(a.slots, b.slots);
  const back = givenBack(cut === a.cut ? b.cut : a.cut, cut);
  return { slots: back.size === 0 ? slots : mergeSlots(slots, back), cut };
}

/**
 * Slots that the losing cut had folded in a newer state than the winner. For a cut's own predecessor there are none.
 */
export function givenBack<Replica>(loser: Cut<Replica>, winner: Cut<Replica>): Map<Replica, Slot> {
  const back = new Map<Replica, Slot>();
  for (const [replica, slot] of loser.folded) {
    if (slot.version > (winner.folded.get(replica) ?? NO_SLOT).version) back.set(replica, slot);
  }
  return back;
}

/**
 * Whether the counter exists. A deleted counter exists again once a replica counts on it that the deletion had not
 * seen.
 */
export function exists<Replica>({ slots, cut }: CounterState<Replica>): boolean {
  return isCountedSince(slots, cut) || (cut.version > 0n && !cut.isDeleted);
}
