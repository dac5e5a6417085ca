/**
 * The meaning of records: existence, deadlines, policies, and the group that last touched one. The commands
 * (`commands.ts`) are written in these terms.
 *
 * Invariants:
 * - Every change of a record touches it: it is then in the newest group, which states it as it was last touched.
 * - A record leaves the table only when the journal has its deletion (`leave`). So a name keeps one record from its
 *   creation until its deletion is durable, and a read in between knows which group to wait for.
 */
import { Kind } from '../counter/key.ts';
import { type Policy, PolicyTable } from '../counter/policy.ts';
import { Deadlines } from './deadlines.ts';
import type { Group } from './group.ts';
import type { Memory } from './memory.ts';
import { Meta, Slab } from './slab.ts';
import { Table } from './table.ts';

/** The order for "no group": nothing to wait for. */
export const NO_GROUP = -1;
/** More than the additions of one turn of the event loop take. */
const SPARED_BYTES = 16 * 1024 * 1024;
/** In names; they take far less than the spared memory. */
const SUMMED_EVERY = 4_096;

export class Records {
  readonly table: Table;
  readonly slab: Slab;
  readonly deadlines = new Deadlines();
  readonly #policies: PolicyTable;
  readonly #countersMax: number;
  readonly memory: Memory;
  /** Groups that are not durable, oldest first; the last one is gathering. Owned by the committer. */
  readonly #groups: readonly Group[];
  #absent = 0;
  /** No policies, no limit of counters. */
  readonly #isUnbounded: boolean;
  /** As of `areUnbounded`, and when to look again. */
  #hasRoom = true;
  #summedAgainAt = 0;

  constructor(options: {
    readonly hashKey: Uint8Array;
    readonly policies: readonly Policy[];
    readonly countersMax: number;
    readonly memory: Memory;
    readonly groups: readonly Group[];
  }) {
    this.table = new Table(options.hashKey);
    this.slab = this.table.slab;
    this.#policies = new PolicyTable(options.policies);
    this.#countersMax = options.countersMax;
    this.#groups = options.groups;
    this.#isUnbounded = this.#policies.isEmpty && this.#countersMax === Number.MAX_SAFE_INTEGER;
    this.memory = options.memory;
    this.memory.count(() => this.table.byteLength);
    this.memory.count(() => this.deadlines.byteLength);
  }

  /** Counters that exist; expired ones until the sweep finds them. */
  get count(): number {
    return this.table.count - this.#absent;
  }

  meta(ref: number): number {
    return this.slab.lanes[Slab.piece(ref)][Slab.lane(ref) + 3];
  }

  kind(ref: number): number {
    return (this.meta(ref) >>> Meta.kindShift) & Meta.kindMask;
  }

  /** Whether the record denotes a counter that exists now. */
  exists(ref: number, nowMs: number): boolean {
    if (ref === 0) return false;
    const meta = this.meta(ref);
    if ((meta & (Meta.deleted | Meta.deadline)) === 0) return true;
    if ((meta & Meta.deleted) !== 0) return false;
    return (this.deadlines.get(ref) ?? 0) > nowMs;
  }

  /** The newest group that touched the record and is not durable, or `NO_GROUP`. */
  touchedBy(ref: number): number {
    const place = this.meta(ref) >>> Meta.placeShift;
    for (let i = this.#groups.length - 1; i >= 0; i--) {
      if (this.#groups[i].has(ref, place)) return this.#groups[i].order;
    }
    return NO_GROUP;
  }

  /** Puts the record, as it is now, into the gathering group. To be called after every change. */
  touch(ref: number): void {
    const group = this.#groups[this.#groups.length - 1];
    const lanes = this.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref) + 3;
    const meta = lanes[at];
    let place = meta >>> Meta.placeShift;
    if (!group.has(ref, place)) {
      place = group.add(ref);
      lanes[at] = (meta & Meta.withoutPlace) | (place << Meta.placeShift);
    }
    group.put(place, this.slab);
  }

  /**
   * A record for a new counter with value 0: a new one, or the one whose counter was deleted or has expired.
   * @returns 0 when no more counters can be taken.
   */
  create(
    ref: number,
    hash: number,
    kind: Kind,
    nameLength: number,
    key: DataView,
    start: number,
    nowMs: number,
  ): number {
    let record = ref;
    if (record === 0) {
      if (this.table.count >= this.#countersMax) return 0;
      if (!this.memory.hasRoom() && !this.slab.hasFree(kind, nameLength)) return 0;
      record = this.table.insert(hash, kind, nameLength, key, start);
      if (record === 0) return 0;
      this.classify(record);
    } else {
      this.#clear(record);
      this.#setFlag(record, Meta.deleted, false);
    }
    this.renewDeadline(record, nowMs);
    return record;
  }

  /** Deletes the counter; the record stays until the journal has the deletion (`leave`). */
  markDeleted(ref: number): void {
    this.#clear(ref);
    this.#setFlag(ref, Meta.deleted, true);
  }

  setDeadline(ref: number, unixMs: number): void {
    this.deadlines.set(ref, unixMs);
    this.#setFlag(ref, Meta.deadline, true);
  }

  /** Whether the record has a deadline, or may get one. */
  hasRoomForDeadline(ref: number): boolean {
    return (this.meta(ref) & Meta.deadline) !== 0 || this.memory.hasRoom();
  }

  clearDeadline(ref: number): void {
    if ((this.meta(ref) & Meta.deadline) === 0) return;
    this.deadlines.clear(ref);
    this.#setFlag(ref, Meta.deadline, false);
  }

  /** The deadline that the policy gives a new counter, if any. */
  renewDeadline(ref: number, nowMs: number): void {
    this.clearDeadline(ref);
    const hasPolicy = !this.#policies.isEmpty && this.kind(ref) === Kind.counter;
    const ttlMs = hasPolicy ? this.policy(ref)?.ttlMs : undefined;
    if (ttlMs !== undefined) this.setDeadline(ref, nowMs + ttlMs);
  }

  /** The policy of the record's name. */
  policy(ref: number): Policy | undefined {
    const start = Slab.keyByte(ref);
    return this.#policies.find(this.slab.bytes[Slab.piece(ref)], start, start + (this.meta(ref) & Meta.nameLengthMask));
  }

  /** Whether an add can be refused only for an overflow or a failing disk. */
  get areUnbounded(): boolean {
    // Called before every embedded add, so the memory is summed only after some names were added.
    if (this.table.changes >= this.#summedAgainAt) {
      this.#summedAgainAt = this.table.changes + SUMMED_EVERY;
      this.#hasRoom = this.memory.hasRoom(SPARED_BYTES);
    }
    return this.#hasRoom && this.#isUnbounded;
  }

  /** The policy of a name that may have no record. */
  policyOf(key: Uint8Array, start: number, nameLength: number): Policy | undefined {
    return this.#policies.isEmpty ? undefined : this.#policies.find(key, start, start + nameLength);
  }

  /** Restores an earlier state of a record, which its group then states. */
  putBack(before: {
    readonly ref: number;
    readonly low: number;
    readonly high: number;
    readonly updatedAt: number;
    readonly existed: boolean;
    readonly deadlineMs: number | undefined;
  }): void {
    const { ref } = before;
    if (before.existed) {
      this.#setFlag(ref, Meta.deleted, false);
      this.clearDeadline(ref);
      if (before.deadlineMs !== undefined) this.setDeadline(ref, before.deadlineMs);
      this.write(ref, before.low, before.high, before.updatedAt);
    } else {
      this.markDeleted(ref);
    }
    this.touch(ref);
  }

  /** Whether the record's counter is gone; not of a block that is free. */
  isDeleted(ref: number): boolean {
    return this.slab.isRecord(ref) && (this.meta(ref) & Meta.deleted) !== 0;
  }

  /** Removes the record from the table if its counter is durably deleted: no pending group has touched it. */
  leave(ref: number): void {
    if (!this.isDeleted(ref) || this.touchedBy(ref) !== NO_GROUP) return;
    this.#absent--;
    this.table.remove(ref);
  }

  /**
   * Removes the record from the table at once: in recovery, when its deletion is durable or another record has replaced
   * it.
   */
  forget(ref: number): void {
    this.clearDeadline(ref);
    this.table.remove(ref);
  }

  #clear(ref: number): void {
    this.clearDeadline(ref);
    this.write(ref, 0, 0, 0);
  }

  /** Sets the value and the last update. */
  write(ref: number, low: number, high: number, updatedAt: number): void {
    const lanes = this.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    lanes[at] = low;
    lanes[at + 1] = high;
    lanes[at + 2] = updatedAt;
  }

  /**
   * Sets the flags of a new record that follow from its name's policy. Bounds hold for a counter, not for a slot of it.
   */
  classify(ref: number): void {
    if (this.#policies.isEmpty) return;
    const policy = this.policy(ref);
    if (policy === undefined) return;
    const isBounded = policy.floor !== undefined || policy.ceiling !== undefined || policy.saturate === true;
    if (isBounded && this.kind(ref) === Kind.counter) this.#setFlag(ref, Meta.bounded, true);
    if (policy.reads === 'dirty') this.#setFlag(ref, Meta.dirtyReads, true);
  }

  /**
   * Recomputes the flags of a record that was stored with those of another process.
   * @returns whether it had a deadline, which must still be set
   */
  renew(ref: number, meta: number): boolean {
    this.slab.lanes[Slab.piece(ref)][Slab.lane(ref) + 3] =
      meta & (Meta.nameLengthMask | (Meta.kindMask << Meta.kindShift));
    this.classify(ref);
    return (meta & Meta.deadline) !== 0;
  }

  #setFlag(ref: number, flag: number, on: boolean): void {
    const lanes = this.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref) + 3;
    if (flag === Meta.deleted && ((lanes[at] & flag) !== 0) !== on) this.#absent += on ? 1 : -1;
    lanes[at] = on ? lanes[at] | flag : lanes[at] & ~flag;
  }
}
