/**
 * A cut: the one record that resets, sets or deletes a counter, or folds a dead replica's slot. It says "the value was
 * `base` when these slots stood so"; updates that it had not seen survive it. Only one authority makes the cuts of a
 * counter, by compare-and-set, so `(version, author)` names one content; and a cut is one atomic record, never merged
 * field by field.
 *
 * A version encodes how many decisions came before, and how many folds since: a set or a deletion takes the next
 * multiple of 2^20 above what is known, and at least the wall clock's milliseconds; a fold adds 1. So if a store went
 * back and two cuts have not seen each other, the later decision wins where clocks agree, and a fold never wins over a
 * decision that it has not seen. Earlier versions of Tallyd counted 1, 2, 3, ... for both.
 */
import { mergeSlots, NO_SLOT, noSlots, type Slots } from './slot.ts';

export interface Cut<Replica> {
  readonly version: bigint;
  /** The author: the authority's incarnation, with its store's term if that store can roll back. */
  readonly author: string;
  readonly base: bigint;
  /** The slots that `base` contains. */
  readonly folded: Slots<Replica>;
  readonly isDeleted: boolean;
}

/** The maximum of folds between two decisions; more would run into the next decision's version. */
const FOLD_BITS = 20n;
/** The year 2109. A wrong clock cannot exceed it, so that as many decisions again can follow. */
const CLOCK_MS_MAX = 2 ** 42 - 1;
/**
 * A version read above this was never decided. It is far from the end of 64 bits, so there is always a next version.
 */
export const CUT_VERSION_MAX = 2n ** 63n - 2n ** 53n;

const NO_CUT: Cut<unknown> = { version: 0n, author: '', base: 0n, folded: noSlots(), isDeleted: false };

/** A counter that was never cut. */
export function noCut<Replica>(): Cut<Replica> {
  return NO_CUT as Cut<Replica>;
}

/** The count: the cut's base and everything since. Wider than 64 bits; callers that show it check. */
export function total<Replica>(slots: Slots<Replica>, cut: Cut<Replica>): bigint {
  let value = cut.base;
  for (const [replica, slot] of slots) {
    const folded = cut.folded.get(replica) ?? NO_SLOT;
    if (slot.version > folded.version) value += slot.net - folded.net;
  }
  return value;
}

/**
 * Whether a replica has counted that the cut had not seen. A later version with the folded net does not count: owners
 * and heirs send again what they have, and that must not bring a deleted counter back.
 */
export function isCountedSince<Replica>(slots: Slots<Replica>, cut: Cut<Replica>): boolean {
  for (const [replica, slot] of slots) {
    const folded = cut.folded.get(replica);
    if (folded === undefined || (slot.version > folded.version && slot.net !== folded.net)) return true;
  }
  return false;
}

/** Folds the known slots into the base, so that they may be dropped; value and existence do not change. */
export function fold<Replica>(slots: Slots<Replica>, cut: Cut<Replica>, author: string): Cut<Replica> {
  const isDeleted = cut.isDeleted && !isCountedSince(slots, cut);
  return next(slots, cut, { version: cut.version + 1n, author, base: total(slots, cut), isDeleted });
}

/** Sets the value to `value` as of the known slots; unknown updates count on top. */
export function reset<Replica>(
  slots: Slots<Replica>,
  cut: Cut<Replica>,
  author: string,
  value: bigint,
  nowMs: number,
): Cut<Replica> {
  return next(slots, cut, { version: decided(cut, nowMs), author, base: value, isDeleted: false });
}

/** Deletes the counter, unless a replica has counted on it that is not known here. */
export function remove<Replica>(slots: Slots<Replica>, cut: Cut<Replica>, author: string, nowMs: number): Cut<Replica> {
  return next(slots, cut, { version: decided(cut, nowMs), author, base: 0n, isDeleted: true });
}

function decided({ version }: Cut<unknown>, nowMs: number): bigint {
  const following = (version >> FOLD_BITS) + 1n;
  const now = BigInt(Math.min(Math.max(0, Math.floor(nowMs)), CLOCK_MS_MAX));
  return (following > now ? following : now) << FOLD_BITS;
}

/**
 * The larger by version, then author. These identify one content. If outside input breaks that, the content decides, so
 * that every replica takes the same one.
 */
export function newerCut<Replica>(a: Cut<Replica>, b: Cut<Replica>): Cut<Replica> {
  if (a === b) return a;
  if (a.version !== b.version) return b.version > a.version ? b : a;
  if (a.author !== b.author) return b.author > a.author ? b : a;
  if (isSame(a, b)) return a;
  if (a.base !== b.base) return b.base > a.base ? b : a;
  return contentOf(b) > contentOf(a) ? b : a;
}

function isSame<Replica>(a: Cut<Replica>, b: Cut<Replica>): boolean {
  if (a.base !== b.base || a.isDeleted !== b.isDeleted || a.folded.size !== b.folded.size) return false;
  for (const [replica, slot] of a.folded) {
    const other = b.folded.get(replica);
    if (other?.version !== slot.version || other.net !== slot.net) return false;
  }
  return true;
}

function next<Replica>(slots: Slots<Replica>, cut: Cut<Replica>, content: Omit<Cut<Replica>, 'folded'>): Cut<Replica> {
  // A folded slot keeps its entry for good: a late or revived copy of it then adds only its excess.
  return { ...content, folded: mergeSlots(cut.folded, slots) };
}

function contentOf<Replica>({ isDeleted, folded }: Cut<Replica>): string {
  const entries = Array.from(folded, ([replica, { version, net }]) => `${String(replica)} ${version} ${net}`);
  return `${isDeleted} ${entries.sort().join()}`;
}
