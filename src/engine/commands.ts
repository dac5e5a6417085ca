/**
 * The commands, each on one screen and in one order: validate, apply, journal, reply. *Apply* changes the record;
 * *journal* puts it into the gathering group; *reply* fills the chunk's outcome columns. A refused command changes
 * nothing.
 *
 * `dependency` is the group that the chunk must wait for: the newest group that any of its outcomes reflects.
 */
import { type Chunk, type CommandOptions, type DeadlineChange, Flag, meets, Op } from '../counter/chunk.ts';
import { DONE, ERRORS } from '../counter/errors.ts';
import { addInt64, readInt64, writeInt64 } from '../counter/int64.ts';
import { Kind } from '../counter/key.ts';
import { DEADLINE_MS_MAX, NAME_BYTES_MAX } from '../counter/limits.ts';
import { isRead } from '../counter/route.ts';
import { unreachable } from '../std/assert.ts';
import { boundedAdd, boundedSet, tighter } from './bounds.ts';
import { NO_GROUP, type Records } from './records.ts';
import { Meta, Slab } from './slab.ts';

/** Records with one of these take the slow path. */
const SPECIAL = Meta.deleted | Meta.deadline | Meta.bounded;

const INVALID_DEADLINE = -1;
const utf8 = new TextDecoder('utf-8', { fatal: true });

export class Commands {
  readonly #records: Records;
  /** Reads wait for what they saw to be durable. */
  readonly #readsWait: boolean;
  /** Set for each chunk. */
  nowMs = 0;
  nowSeconds = 0;
  /** Updates since the last `begin` that were not plain adds. */
  slow = 0;
  /** The newest group that an outcome since the last `begin` depends on, or `NO_GROUP`. */
  dependency = NO_GROUP;
  #gathering = NO_GROUP;

  constructor(records: Records, readsWait: boolean) {
    this.#records = records;
    this.#readsWait = readsWait;
  }

  /** Before a chunk. @param gathering the order of the group that takes its updates. */
  begin(nowMs: number, gathering: number): void {
    this.nowMs = nowMs;
    this.nowSeconds = Math.floor(nowMs / 1000);
    this.slow = 0;
    this.dependency = NO_GROUP;
    this.#gathering = gathering;
  }

  /** Finds the record of command `i`, 0 if there is none. Its hash goes to `hashes`. */
  find(chunk: Chunk, i: number, hashes: Int32Array): number {
    const length = chunk.nameLength[i];
    if (length === 0 || length > NAME_BYTES_MAX) return 0;
    const { table } = this.#records;
    const hash = table.hash(chunk.kind, length, chunk.namesView, chunk.nameStart[i]);
    hashes[i] = hash;
    return table.find(hash, chunk.kind, length, chunk.namesView, chunk.nameStart[i]);
  }

  /**
   * Finds the records of the commands `[from, to)`, 0 for none, and their hashes. Each step (hashes, index slots,
   * records) runs for all of them, so that the cache misses of a step overlap instead of waiting for each other.
   */
  findMany(chunk: Chunk, from: number, to: number, refs: Int32Array, hashes: Int32Array): void {
    const { table } = this.#records;
    const { kind, namesView, nameStart, nameLength } = chunk;
    for (let i = from; i < to; i++) {
      const length = nameLength[i];
      hashes[i] = length <= NAME_BYTES_MAX ? table.hash(kind, length, namesView, nameStart[i]) : 0;
    }
    table.candidates(hashes, from, to, refs);
    for (let i = from; i < to; i++) {
      if (refs[i] === 0) continue;
      const isValid = nameLength[i] <= NAME_BYTES_MAX;
      if (isValid && table.matches(refs[i], kind, nameLength[i], namesView, nameStart[i])) continue;
      refs[i] = this.find(chunk, i, hashes);
    }
  }

  /**
   * Executes command `i`, whose record is `ref`. If it is 0, the record is looked up again: an earlier command may have
   * created it.
   */
  execute(chunk: Chunk, i: number, ref: number, hashes: Int32Array): void {
    if (chunk.op[i] === Op.add && ref !== 0 && chunk.options[i] === undefined && this.#addFast(chunk, i, ref)) return;
    clear(chunk, i);
    const record = ref === 0 ? this.find(chunk, i, hashes) : ref;
    if (record === 0 && !isValidName(chunk, i)) {
      refuse(chunk, i, ERRORS.invalid_name.id);
      return;
    }
    const op = chunk.op[i] as Op;
    if (!isRead(op)) this.slow++;
    switch (op) {
      case Op.get:
        this.#get(chunk, i, record);
        break;
      case Op.add:
        this.#add(chunk, i, record, hashes[i]);
        break;
      case Op.set:
        this.#set(chunk, i, record, hashes[i]);
        break;
      case Op.delete:
        this.#delete(chunk, i, record);
        break;
      case Op.expire:
        this.#expire(chunk, i, record);
        break;
      case Op.deadline:
        this.#deadline(chunk, i, record);
        break;
      default:
        unreachable(op);
    }
  }

  /**
   * Command `i` was refused for a bound, and the earlier commands of its chunk are undone: its outcome shows the state
   * that remains.
   */
  refuseAgain(chunk: Chunk, i: number, hashes: Int32Array): void {
    const code = chunk.code[i];
    clear(chunk, i);
    const ref = this.find(chunk, i, hashes);
    this.#look(chunk, i, ref);
    this.#refuseForBound(chunk, i, ref, code);
  }

  /** An add without options to a record without special flags, which is nearly all. False: take the slow path. */
  #addFast(chunk: Chunk, i: number, ref: number): boolean {
    const lanes = this.#records.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    if ((lanes[at + 3] & SPECIAL) !== 0 || !addInt64(lanes, at, lanes, at, chunk.amount, 2 * i)) return false;
    lanes[at + 2] = this.nowSeconds;
    this.#records.touch(ref);
    this.dependency = this.#gathering;
    chunk.code[i] = DONE;
    chunk.flags[i] = Flag.existed | Flag.changed;
    chunk.value[2 * i] = lanes[at];
    chunk.value[2 * i + 1] = lanes[at + 1];
    chunk.other[2 * i] = chunk.amount[2 * i];
    chunk.other[2 * i + 1] = chunk.amount[2 * i + 1];
    chunk.updatedAt[i] = this.nowSeconds;
    return true;
  }

  #add(chunk: Chunk, i: number, ref: number, hash: number): void {
    const options = chunk.options[i];
    const existed = this.#look(chunk, i, ref);
    // Validate.
    if (isHeldBack(chunk, i)) return;
    const deadlineMs = this.#deadlineOf(options?.deadline);
    if (deadlineMs === INVALID_DEADLINE) {
      refuse(chunk, i, ERRORS.invalid_deadline.id);
      return;
    }
    const value = chunk.valueAt(i);
    const policy = this.#policyOf(chunk, i, ref);
    const add = boundedAdd(value, readInt64(chunk.amount, 2 * i), tighter(policy, options));
    if (add.code !== DONE) {
      this.#refuseForBound(chunk, i, ref, add.code);
      return;
    }
    if (add.saturated && add.applied === 0n && !existed) {
      // A saturating update that applies nothing does not create a counter.
      chunk.flags[i] |= Flag.saturated;
      return;
    }
    // Apply.
    const record = existed ? this.#withRoom(ref, deadlineMs) : this.#create(chunk, i, ref, hash);
    if (record === 0) {
      refuse(chunk, i, ERRORS.too_many_counters.id);
      return;
    }
    this.#store(chunk, i, record, value + add.applied);
    this.#changeDeadline(record, options, deadlineMs);
    // Journal.
    this.#touch(record);
    // Reply.
    writeInt64(chunk.other, 2 * i, add.applied);
    chunk.flags[i] |= Flag.changed | (add.saturated ? Flag.saturated : 0);
  }

  #set(chunk: Chunk, i: number, ref: number, hash: number): void {
    const options = chunk.options[i];
    const existed = this.#look(chunk, i, ref);
    const before = chunk.valueAt(i);
    // Validate.
    if (isHeldBack(chunk, i)) {
      writeInt64(chunk.other, 2 * i, before);
      return;
    }
    const deadlineMs = this.#deadlineOf(options?.deadline);
    if (deadlineMs === INVALID_DEADLINE) {
      refuse(chunk, i, ERRORS.invalid_deadline.id);
      return;
    }
    const wanted = readInt64(chunk.amount, 2 * i);
    const bounded = boundedSet(wanted, tighter(this.#policyOf(chunk, i, ref), options));
    if (bounded.code !== DONE) {
      this.#refuseForBound(chunk, i, ref, bounded.code);
      return;
    }
    // Apply.
    const record = existed ? this.#withRoom(ref, deadlineMs) : this.#create(chunk, i, ref, hash);
    if (record === 0) {
      refuse(chunk, i, ERRORS.too_many_counters.id);
      return;
    }
    this.#store(chunk, i, record, bounded.value);
    if (existed && options?.keepDeadline !== true) this.#records.renewDeadline(record, this.nowMs);
    this.#changeDeadline(record, options, deadlineMs);
    // Journal.
    this.#touch(record);
    // Reply.
    writeInt64(chunk.other, 2 * i, before);
    chunk.flags[i] |= Flag.changed | (bounded.value === wanted ? 0 : Flag.saturated);
  }

  #delete(chunk: Chunk, i: number, ref: number): void {
    const existed = this.#look(chunk, i, ref);
    const isHeld = isHeldBack(chunk, i);
    writeInt64(chunk.other, 2 * i, chunk.valueAt(i));
    writeInt64(chunk.value, 2 * i, 0n);
    // Validate.
    if (!existed || isHeld) return;
    // Apply.
    this.#records.markDeleted(ref);
    // Journal.
    this.#touch(ref);
    // Reply.
    chunk.flags[i] |= Flag.changed;
  }

  #expire(chunk: Chunk, i: number, ref: number): void {
    const options = chunk.options[i];
    const existed = this.#look(chunk, i, ref);
    // Validate.
    const deadlineMs = this.#deadlineOf(options?.deadline);
    if (deadlineMs === INVALID_DEADLINE) {
      refuse(chunk, i, ERRORS.invalid_deadline.id);
      return;
    }
    if (!existed) return;
    if (this.#withRoom(ref, deadlineMs) === 0) {
      refuse(chunk, i, ERRORS.too_many_counters.id);
      return;
    }
    // Apply.
    if (!this.#changeDeadline(ref, options, deadlineMs)) return;
    // Journal.
    this.#touch(ref);
    // Reply.
    chunk.flags[i] |= Flag.changed;
  }

  #get(chunk: Chunk, i: number, ref: number): void {
    this.#look(chunk, i, ref);
  }

  #deadline(chunk: Chunk, i: number, ref: number): void {
    const existed = this.#look(chunk, i, ref);
    const deadlineMs = existed ? (this.#records.deadlines.get(ref) ?? -1) : -1;
    writeInt64(chunk.value, 2 * i, BigInt(deadlineMs));
  }

  /**
   * Fills in a read's outcome (value, EXISTED, last update) and the group to wait for. @returns whether the counter
   * exists.
   */
  #look(chunk: Chunk, i: number, ref: number): boolean {
    if (ref === 0) return false;
    const lanes = this.#records.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    if (this.#readsWait && (lanes[at + 3] & Meta.dirtyReads) === 0) {
      this.dependency = Math.max(this.dependency, this.#records.touchedBy(ref));
    }
    if (!this.#records.exists(ref, this.nowMs)) return false;
    chunk.value[2 * i] = lanes[at];
    chunk.value[2 * i + 1] = lanes[at + 1];
    chunk.updatedAt[i] = lanes[at + 2];
    chunk.flags[i] = Flag.existed;
    return true;
  }

  /** Refuses command `i` after `look`: the columns keep a read's outcome, plus the deadline. */
  #refuseForBound(chunk: Chunk, i: number, ref: number, code: number): void {
    refuse(chunk, i, code);
    const deadlineMs = chunk.hasFlag(i, Flag.existed) ? this.#records.deadlines.get(ref) : undefined;
    writeInt64(chunk.other, 2 * i, BigInt(deadlineMs ?? 0));
  }

  #create(chunk: Chunk, i: number, ref: number, hash: number): number {
    const { kind, nameLength, namesView, nameStart } = chunk;
    return this.#records.create(ref, hash, kind, nameLength[i], namesView, nameStart[i], this.nowMs);
  }

  /** The record, or 0 if it would get a deadline and there is no memory for one. */
  #withRoom(ref: number, deadlineMs: number | undefined): number {
    return deadlineMs === undefined || this.#records.hasRoomForDeadline(ref) ? ref : 0;
  }

  #store(chunk: Chunk, i: number, ref: number, value: bigint): void {
    const lanes = this.#records.slab.lanes[Slab.piece(ref)];
    const at = Slab.lane(ref);
    writeInt64(lanes, at, value);
    lanes[at + 2] = this.nowSeconds;
    writeInt64(chunk.value, 2 * i, value);
    chunk.updatedAt[i] = this.nowSeconds;
  }

  #touch(ref: number): void {
    this.#records.touch(ref);
    this.dependency = this.#gathering;
  }

  #policyOf(chunk: Chunk, i: number, ref: number): ReturnType<Records['policyOf']> {
    if (chunk.kind !== Kind.counter) return undefined;
    if (ref !== 0 && (this.#records.meta(ref) & Meta.bounded) === 0) return undefined;
    return this.#records.policyOf(chunk.names, chunk.nameStart[i], chunk.nameLength[i]);
  }

  /** The requested deadline: Unix ms, undefined for none or `persist`, or `INVALID_DEADLINE`. */
  #deadlineOf(change: DeadlineChange | undefined): number | undefined {
    if (change === undefined || change.kind === 'persist') return undefined;
    const unixMs = change.kind === 'in' ? this.nowMs + change.ms : change.unixMs;
    if (!Number.isInteger(unixMs) || unixMs > DEADLINE_MS_MAX) return INVALID_DEADLINE;
    return Math.max(unixMs, 0);
  }

  /** @returns whether it took effect. */
  #changeDeadline(ref: number, options: CommandOptions | undefined, deadlineMs: number | undefined): boolean {
    if (options?.deadline === undefined) return false;
    const before = this.#records.deadlines.get(ref);
    if (deadlineMs === undefined) {
      this.#records.clearDeadline(ref);
      return before !== undefined;
    }
    // No deadline counts as an infinite one.
    const isWanted = {
      always: true,
      none: before === undefined,
      some: before !== undefined,
      later: before !== undefined && deadlineMs > before,
      earlier: before === undefined || deadlineMs < before,
      sooner: before !== undefined && deadlineMs < before,
    }[options.deadlineOnlyIf ?? 'always'];
    if (isWanted) this.#records.setDeadline(ref, deadlineMs);
    return isWanted;
  }
}

/** Whether a condition prevents command `i` from being applied, once its counter is known. */
function isHeldBack(chunk: Chunk, i: number): boolean {
  const onlyIf = chunk.options[i]?.onlyIf;
  return onlyIf !== undefined && !meets(onlyIf, chunk.hasFlag(i, Flag.existed), chunk.valueAt(i));
}

/** The initial outcome of command `i`. */
function clear(chunk: Chunk, i: number): void {
  chunk.code[i] = DONE;
  chunk.flags[i] = 0;
  chunk.updatedAt[i] = 0;
  chunk.value[2 * i] = 0;
  chunk.value[2 * i + 1] = 0;
  chunk.other[2 * i] = 0;
  chunk.other[2 * i + 1] = 0;
}

/** Refuses command `i`; the columns keep a read's outcome. */
function refuse(chunk: Chunk, i: number, code: number): void {
  chunk.code[i] = code;
}

/** Names in the table are valid, so only names that were not found are checked. */
function isValidName(chunk: Chunk, i: number): boolean {
  const start = chunk.nameStart[i];
  const length = chunk.nameLength[i];
  if (length === 0 || length > NAME_BYTES_MAX) return false;
  let seen = 0;
  for (let k = start; k < start + length; k++) seen |= chunk.names[k];
  if (seen < 0x80) return true;
  try {
    utf8.decode(chunk.names.subarray(start, start + length));
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}
