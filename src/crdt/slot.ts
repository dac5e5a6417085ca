/**
 * A slot: one replica's own total of one counter. Only its replica writes it, and the version grows with every
 * change of the net, so the states of a slot are a chain and "newer" is never a conflict.
 */
import { fitsInt64 } from '../counter/int64.ts';
import { assert } from '../std/assert.ts';

export interface Slot {
  /** Grows with every change; usually the sequence number of the group that made it durable. */
  readonly version: bigint;
  /** What the replica has added, less what it has taken away. */
  readonly net: bigint;
}

/** Slots by replica; a replica that is not in it has `NO_SLOT`. */
export type Slots<Replica> = ReadonlyMap<Replica, Slot>;

/** A replica that has not counted yet. */
export const NO_SLOT: Slot = { version: 0n, net: 0n };

const NO_SLOTS: Slots<unknown> = new Map();

/** Nobody has counted: one and the same for all counters, since of most, most of this is so. */
export function noSlots<Replica>(): Slots<Replica> {
  return NO_SLOTS as Slots<Replica>;
}

/**
 * The owner's next state. Slots that leave a replica in one batch may share a version.
 * @returns undefined when the net would leave 64 bits: the update is then refused, before anything changes.
 */
export function addToSlot(slot: Slot, amount: bigint, version: bigint): Slot | undefined {
  assert(version > slot.version, 'the version of a slot grows with every change');
  const net = slot.net + amount;
  return fitsInt64(net) ? { version, net } : undefined;
}

/** The newer of two states of one slot. */
export function newerSlot(a: Slot, b: Slot): Slot {
  assert(a.version !== b.version || a.net === b.net, 'a slot has one writer, so one version has one content');
  return b.version > a.version ? b : a;
}

/** Per replica the newer slot. */
export function mergeSlots<Replica>(a: Slots<Replica>, b: Slots<Replica>): Slots<Replica> {
  const merged = new Map(a);
  for (const [replica, slot] of b) merged.set(replica, newerSlot(merged.get(replica) ?? NO_SLOT, slot));
  return merged;
}
