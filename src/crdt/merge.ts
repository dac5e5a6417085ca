/**
 * The state of a counter that many replicas share, and the one function that brings copies of it together. A
 * product of chains is a join-semilattice, so `merge` may be given any states, any number of times, in any order.
 *
 * Where a store went back in time two cuts can exist that do not know each other. The winner's base and existence hold as they
 * are. What the loser had folded are true states of slots whose rows may be gone since, so they go back among the slots: no
 * increment depends on which set won.
 */
import { type Cut, isCountedSince, newerCut } from './cut.ts';
import { mergeSlots, NO_SLOT, type Slot, type Slots } from './slot.ts';

export interface CounterState<Replica> {
  readonly slots: Slots<Replica>;
  readonly cut: Cut<Replica>;
}

/** What both states know: the newer slots, the newer cut, and what only the older cut had folded. */
export function merge<Replica>(a: CounterState<Replica>, b: CounterState<Replica>): CounterState<Replica> {
  const cut = newerCut(a.cut, b.cut);
  const slots = mergeSlots(a.slots, b.slots);
  const back = givenBack(cut === a.cut ? b.cut : a.cut, cut);
  return { slots: back.size === 0 ? slots : mergeSlots(slots, back), cut };
}

/** What the loser of two cuts had folded in a newer state than the winner. Of a cut's own predecessor that is nothing. */
export function givenBack<Replica>(loser: Cut<Replica>, winner: Cut<Replica>): Map<Replica, Slot> {
  const back = new Map<Replica, Slot>();
  for (const [replica, slot] of loser.folded) {
    if (slot.version > (winner.folded.get(replica) ?? NO_SLOT).version) back.set(replica, slot);
  }
  return back;
}

/** Whether there is such a counter. A deleted one is back when someone counts on it whom the deletion had not seen. */
export function exists<Replica>({ slots, cut }: CounterState<Replica>): boolean {
  return isCountedSince(slots, cut) || (cut.version > 0n && !cut.isDeleted);
}
