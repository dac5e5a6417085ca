/**
 * The state of a counter that many replicas share, and the one function that brings copies of it together. A
 * product of chains is a join-semilattice, so `merge` may be given any states, any number of times, in any order.
 */
import { type Cut, isCountedSince, newerCut } from './cut.ts';
import { mergeSlots, type Slots } from './slot.ts';

export interface CounterState<Replica> {
  readonly slots: Slots<Replica>;
  readonly cut: Cut<Replica>;
}

/** What both states know: the newer slots, the newer cut. */
export function merge<Replica>(a: CounterState<Replica>, b: CounterState<Replica>): CounterState<Replica> {
  return { slots: mergeSlots(a.slots, b.slots), cut: newerCut(a.cut, b.cut) };
}

/** Whether there is such a counter. A deleted one is back when someone counts on it whom the deletion had not seen. */
export function exists<Replica>({ slots, cut }: CounterState<Replica>): boolean {
  return isCountedSince(slots, cut) || (cut.version > 0n && !cut.isDeleted);
}
