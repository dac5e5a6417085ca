/**
 * A slot: one replica's own total of one counter. Only its replica writes it, and the version grows with every
 * change of the net, so the states of a slot are a chain and "newer" is never a conflict.
 */
import { fitsInt64 } from '../counter/int64.ts';
import { assert } from '../std/assert.ts';

export interface Slot {
  /** Grows with every change; usually the sequence number of the group that made it durable. */
  readonly version: bigint;
  /** What the replica has added minus what it has subtracted. */
  readonly net: bigint;
}

/** Slots by replica; a replica without an entry has `NO_SLOT`. */
export type Slots<Replica> = ReadonlyMap<Replica, Slot>;

/** A replica that has not counted yet. */
export const NO_SLOT: Slot = { version: 0n, net: 0n };

const NO_SLOTS: Slots<unknown> = new Map();

/** No counts: one shared object, because most counters have most of their parts empty. */
export function noSlots<Replica>(): Slots<Replica> {
  return NO_SLOTS as Slots<Replica>;
}

/**
 * The owner's next state. Slots that leave a replica in one batch may share a version.
 * @returns undefined if the net would exceed 64 bits: the update is then refused before anything changes.
 */
export function addToSlot(slot: Slot, amount: bigint, version: bigint): Slot | undefined {
  assert(version > slot.version, 'the version of a slot grows with every change');
  const net = slot.net + amount;
  return fitsInt64(net) ? { version, net } : undefined;
}

/**
 * The newer of two states of one slot. One version has one content, because a slot has one writer. Outside input may
 * break that (a directory and its store that were restored together); then every replica takes the larger net.
 */
export function newerSlot(a: Slot, b: Slot): Slot {
  if (a.version === b.version) return b.net > a.net ? b : a;
  return b.version > a.version ? b : a;
}

/**
 * Whether both claim to be the same state of one slot but differ: another process has counted under its replica's id.
 */
export function isForked(a: Slot, b: Slot): boolean {
  return a.version === b.version && a.net !== b.net;
}

/** The newer slot of each replica. */
export function mergeSlots<Replica>(a: Slots<Replica>, b: Slots<Replica>): Slots<Replica> {
  const merged = new Map(a);
  for (const [replica, slot] of b) merged.set(replica, newerSlot(merged.get(replica) ?? NO_SLOT, slot));
  return merged;
}
