/**
 * A chunk: the commands that a door hands to the counting service together, as columns, and their outcomes. The service
 * applies all commands of a chunk in order, with no others in between (in one group if the chunk is all or nothing, has
 * a key, or has transactions). It fills the outcome columns and calls `complete()` exactly once, when everything that
 * the outcomes show is durable (as the durability mode requires). Until then the chunk belongs to the service. The
 * bytes of the names belong to it only until `submit` returns, so a service that needs them longer calls `keepNames`.
 *
 * Columns instead of objects: a door reuses one chunk per connection, so a pipeline of thousands of increments
 * allocates nothing. What few commands have (bounds, deadlines, keys) is an object in `options`.
 */
import { assert } from '../std/assert.ts';
import { grown, viewOf } from '../std/columns.ts';
import { BOUND_REFUSALS, DONE } from './errors.ts';
import { readInt64, writeInt64 } from './int64.ts';
import { Kind, SUFFIX_BYTES } from './key.ts';
import { CHUNK_COMMANDS_MAX } from './limits.ts';

/** What a command does. The comments define the outcome columns. */
export const Op = {
  /** `value`: the count, 0 when absent; EXISTED. */
  get: 0,
  // `value`: the new count; `other`: what was applied (not the amount if SATURATED); EXISTED before; CHANGED unless a
  // condition failed or SATURATED left an absent counter absent. Refused for overflow or a bound: see `standing`.
  add: 1,
  /** `value`: the count afterwards; `other`: the count before; EXISTED before; CHANGED unless a condition failed. */
  set: 2,
  /** `other`: the count before; EXISTED before; CHANGED. `value`: 0. */
  delete: 3,
  /** Sets or, with option `deadline: {kind: 'persist'}`, removes the deadline. EXISTED; CHANGED when it took effect. */
  expire: 4,
  /** `value`: the deadline in Unix ms, or -1 for none; EXISTED. */
  deadline: 5,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

/** Bits of the outcome column `flags`. */
export const Flag = {
  existed: 1,
  changed: 2,
  saturated: 4,
  /** Answered from an idempotency record: this time nothing was applied. */
  replayed: 8,
  /** A shared counter that is not known here while its store is unreachable: `value` is this replica's own count. */
  partial: 16,
} as const;

/** What to do with a counter's deadline. */
export type DeadlineChange =
  | { readonly kind: 'in'; readonly ms: number }
  | { readonly kind: 'at'; readonly unixMs: number }
  | { readonly kind: 'persist' };

/** An idempotency key and the request it identifies. */
export interface IdempotencyKey {
  /** `request`: kept for a time; `import`: the id of an import's chunk, kept for good. */
  readonly scope: 'request' | 'import';
  /** 1 to 255 characters, printable ASCII. */
  readonly key: string;
  /** Digest of the request, in hex (at most 32 bytes): the same key with another digest is refused. */
  readonly fingerprint: string;
  /** For an import's chunk: the id of all content before it; absent for the first. */
  readonly after?: string | undefined;
  /**
   * For an import's chunk: ids of the content through some places after its beginning, by length, including its own. If
   * one of them, or other content after the same beginning, was already accepted, the chunk is refused.
   */
  readonly places?: readonly string[] | undefined;
}

/** Options that few commands have. */
export interface CommandOptions {
  /** Bounds for this update, in addition to the policy's. The tighter one applies. */
  readonly floor?: bigint | undefined;
  readonly ceiling?: bigint | undefined;
  /** At a bound or at the limits of 64 bits, apply the part that fits instead of refusing. */
  readonly saturate?: boolean | undefined;
  /** Without it an add keeps the deadline; a set removes it or begins its policy's anew, unless `keepDeadline`. */
  readonly deadline?: DeadlineChange | undefined;
  readonly keepDeadline?: boolean | undefined;
  /**
   * Change the deadline only if: there is none (NX, ENX) / there is one (XX) / there is one, and it grows (GT) / there
   * is none, or it shrinks (LT) / there is one, and it shrinks (XX LT).
   */
  readonly deadlineOnlyIf?: 'none' | 'some' | 'later' | 'earlier' | 'sooner' | undefined;
  /** Apply only if this holds; otherwise the outcome is done, not CHANGED. For add, set and delete. */
  readonly onlyIf?: Condition | undefined;
  /** Idempotency of this one command within its chunk (a batch entry's `id`). */
  readonly id?: IdempotencyKey | undefined;
}

/** The counter exists, or does not; or its count is one, or none, of these. `undefined`: an absent counter. */
export type Condition =
  | 'exists'
  | 'absent'
  | { readonly is: 'one' | 'none'; readonly of: readonly (bigint | undefined)[] };

/** Whether a counter in this state meets the condition. */
export function meets(condition: Condition, exists: boolean, value: bigint): boolean {
  if (typeof condition === 'string') return (condition === 'exists') === exists;
  return condition.of.includes(exists ? value : undefined) === (condition.is === 'one');
}

/** A counter's state after a refused update. */
export interface Standing {
  readonly value: bigint;
  /** Time until it expires; undefined: never. */
  readonly ttlMs: number | undefined;
}

/** Where a shared counter is read: here, in the store, or at the authority, which no shared counter has yet. */
export type Consistency = 'local' | 'region' | 'strong';

const noCompletion = (): void => {
  throw new Error('a chunk was submitted without a completion');
};
const encoder = new TextEncoder();
/** A name buffer longer than this is released when a chunk is emptied, which bounds the memory of chunk pools. */
const IDLE_NAMES_BYTES_MAX = 256 * 1024;
const OWN_BYTES_MIN = 512;

/** A buffer with names, and the same bytes as words. */
interface NameBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export class Chunk {
  /** Commands in this chunk. */
  count = 0;
  op: Uint8Array;
  nameStart: Int32Array;
  nameLength: Int32Array;
  /** Two lanes per command. */
  amount: Int32Array;
  /** For a service with shared counters: a `Route` per command. */
  route: Uint8Array;
  /** Sparse: empty while no command has options. */
  readonly options: (CommandOptions | undefined)[] = [];

  /** What the names denote; if the kind has a suffix, it follows each name. */
  kind: Kind = Kind.counter;
  /** All or nothing: if one command is refused, none is applied and the others get `atomic_refused`. */
  atomic = false;
  /** Transactions: ranges `[from, to)`, as from and to in turn. No reader sees a part of one. */
  readonly transactions: number[] = [];
  /** Covers the whole chunk. */
  key: IdempotencyKey | undefined = undefined;
  /** For shared counters. */
  consistency: Consistency = 'local';
  /** The token of an earlier chunk on any replica: the outcomes of this chunk include its changes. Empty: none. */
  session = '';
  /** The caller can distinguish a PARTIAL value from a whole one; otherwise such commands are refused. */
  acceptsPartial = false;

  /** `DONE`, or why the chunk as a whole was refused or is unknown; the columns then mean nothing. */
  refusal: number = DONE;
  /** The outcomes come from the idempotency record of an earlier chunk. */
  replayed = false;
  /** With `import_overlaps`: the last place through which content was accepted, after `>` if more was. Empty: none. */
  overlap = '';
  /** With `idempotency_full`: when to retry. 0: not known. */
  retryAfterMs = 0;
  /** Shared counters of the region are current as of this time, Unix ms, or later. 0: everything is decided here. */
  asOfMs = 0;
  /** The token for `session` of a later chunk, if shared counters were changed. */
  sessionToken = '';
  /** When this journal group is durable, so is everything that the chunk changed and read. 0: none. */
  sequence = 0n;
  /** When the chunk was applied, by the service's clock, Unix ms; a replay returns the original time. */
  appliedAtMs = 0;
  /** Per command: `DONE` or an id of the error catalogue. */
  code: Uint8Array;
  flags: Uint8Array;
  value: Int32Array;
  other: Int32Array;
  /** Unix seconds of the counter's last update, 0 when absent. */
  updatedAt: Uint32Array;

  /** Called by the service exactly once per submit; it may be called before `submit` returns. */
  complete: () => void = noCompletion;

  #capacity: number;
  /** The buffer with the names: `#lent` or `#own`. */
  #names: NameBytes;
  /** The door's buffer of the last names; the next ones are usually in it, too. */
  #lent: NameBytes;
  #own: NameBytes;
  #ownUsed = 0;

  constructor(capacity = 16) {
    this.#capacity = capacity;
    this.#own = nameBytes(new Uint8Array(capacity * 32));
    this.#lent = this.#own;
    this.#names = this.#own;
    this.op = new Uint8Array(capacity);
    this.nameStart = new Int32Array(capacity);
    this.nameLength = new Int32Array(capacity);
    this.amount = new Int32Array(capacity * 2);
    this.route = new Uint8Array(capacity);
    this.code = new Uint8Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.value = new Int32Array(capacity * 2);
    this.other = new Int32Array(capacity * 2);
    this.updatedAt = new Uint32Array(capacity);
  }

  /** The buffer with the names: the door's own, or the one that `pushName` writes to. */
  get names(): Uint8Array {
    return this.#names.bytes;
  }

  set names(names: Uint8Array) {
    if (names !== this.#lent.bytes) this.#lent = nameBytes(names);
    this.#names = this.#lent;
  }

  /** The same bytes as words. */
  get namesView(): DataView {
    return this.#names.view;
  }

  /** Empties the chunk for reuse; it keeps its columns, buffers of usual size, and `complete`. */
  reset(): void {
    this.count = 0;
    if (this.#own.bytes.length > IDLE_NAMES_BYTES_MAX) this.#own = nameBytes(new Uint8Array(OWN_BYTES_MIN));
    if (this.#lent.bytes.length > IDLE_NAMES_BYTES_MAX) this.#lent = this.#own;
    this.#names = this.#own;
    this.#ownUsed = 0;
    if (this.options.length > 0) this.options.length = 0;
    this.kind = Kind.counter;
    this.atomic = false;
    if (this.transactions.length > 0) this.transactions.length = 0;
    this.key = undefined;
    this.consistency = 'local';
    this.session = '';
    this.acceptsPartial = false;
    this.refusal = DONE;
    this.replayed = false;
    this.overlap = '';
    this.retryAfterMs = 0;
    this.asOfMs = 0;
    this.sessionToken = '';
    this.sequence = 0n;
    this.appliedAtMs = 0;
  }

  /**
   * Appends a command whose name is in `names` at `[start, start + length)`; the service checks the name's length and
   * encoding. The amount's lanes: `add`: what to add; `set`: the value.
   * @returns the command's position.
   */
  push(op: Op, start: number, length: number, low: number, high: number): number {
    if (this.count === this.#capacity) this.#grow();
    const i = this.count++;
    this.op[i] = op;
    this.nameStart[i] = start;
    this.nameLength[i] = length;
    this.amount[2 * i] = low;
    this.amount[2 * i + 1] = high;
    return i;
  }

  /** Appends a command with a name as string. Not to be mixed with a `names` buffer of the door's own. */
  pushName(op: Op, name: string, amount: bigint = 0n, options?: CommandOptions): number {
    const i = this.pushNameLanes(op, name, 0, 0);
    if (amount !== 0n) writeInt64(this.amount, 2 * i, amount);
    if (options !== undefined) this.options[i] = options;
    return i;
  }

  /** The same with the amount's lanes. */
  pushNameLanes(op: Op, name: string, low: number, high: number): number {
    assert(this.#names === this.#own, 'a chunk with names of its own keeps them in its own buffer');
    const start = this.#ownUsed;
    // A UTF-16 unit takes at most 3 bytes of UTF-8.
    this.#reserveNames(start + name.length * 3);
    this.#names = this.#own;
    const written = this.#writeName(name, start);
    this.#ownUsed = start + written;
    return this.push(op, start, written, low, high);
  }

  /** Appends a command on the slot of one incarnation: the chunk's kind is `slot`. */
  pushSlot(op: Op, name: string, ordinal: number, amount: bigint = 0n): number {
    this.kind = Kind.slot;
    const i = this.pushName(op, name, amount);
    const suffix = SUFFIX_BYTES[Kind.slot];
    this.#reserveNames(this.#ownUsed + suffix);
    this.#names = this.#own;
    this.#own.view.setUint32(this.#ownUsed, ordinal, true);
    this.#ownUsed += suffix;
    return i;
  }

  /** The same with a name in `names`, and the amount's lanes. */
  pushSlotBytes(
    op: Op,
    names: Uint8Array,
    from: number,
    length: number,
    ordinal: number,
    low: number,
    high: number,
  ): number {
    this.kind = Kind.slot;
    const start = this.#ownUsed;
    const end = start + length + SUFFIX_BYTES[Kind.slot];
    this.#reserveNames(end);
    this.#names = this.#own;
    const { bytes, view } = this.#own;
    for (let i = 0; i < length; i++) bytes[start + i] = names[from + i];
    view.setUint32(start + length, ordinal, true);
    this.#ownUsed = end;
    return this.push(op, start, length, low, high);
  }

  /** Copies the names if they are in the door's buffer, so that the door can reuse it. */
  keepNames(): void {
    if (this.#names === this.#own) return;
    const suffix = SUFFIX_BYTES[this.kind];
    let needed = 0;
    for (let i = 0; i < this.count; i++) needed += this.nameLength[i] + suffix;
    this.#reserveNames(needed);
    let at = 0;
    for (let i = 0; i < this.count; i++) {
      const start = this.nameStart[i];
      const length = this.nameLength[i] + suffix;
      this.#own.bytes.set(this.#names.bytes.subarray(start, start + length), at);
      this.nameStart[i] = at;
      at += length;
    }
    this.#ownUsed = at;
    this.#names = this.#own;
  }

  valueAt(i: number): bigint {
    return readInt64(this.value, 2 * i);
  }

  otherAt(i: number): bigint {
    return readInt64(this.other, 2 * i);
  }

  /**
   * The counter's state in the refusal of command `i`; undefined if it was not refused for overflow or a bound, or if
   * only a part of the count is known. The columns of such a refusal: `value` and EXISTED as for a read, `other` the
   * deadline in Unix ms, 0 for none.
   */
  standing(i: number): Standing | undefined {
    if (!BOUND_REFUSALS.has(this.code[i]) || this.hasFlag(i, Flag.partial)) return undefined;
    const deadlineMs = Number(this.otherAt(i));
    return {
      value: this.valueAt(i),
      ttlMs: deadlineMs === 0 ? undefined : Math.max(0, deadlineMs - this.appliedAtMs),
    };
  }

  hasFlag(i: number, flag: number): boolean {
    return (this.flags[i] & flag) !== 0;
  }

  /** Character by character: for usual lengths this is faster than the encoder, which needs a view to write to. */
  #writeName(name: string, start: number): number {
    const names = this.#own.bytes;
    for (let i = 0; i < name.length; i++) {
      const character = name.charCodeAt(i);
      if (character >= 0x80) return encoder.encodeInto(name, names.subarray(start)).written;
      names[start + i] = character;
    }
    return name.length;
  }

  #reserveNames(needed: number): void {
    const { bytes } = this.#own;
    if (needed <= bytes.length) return;
    this.#own = nameBytes(grown(bytes, new Uint8Array(Math.max(needed, bytes.length * 2))));
  }

  #grow(): void {
    assert(this.#capacity < CHUNK_COMMANDS_MAX, 'a chunk stays below CHUNK_COMMANDS_MAX');
    const capacity = Math.min(this.#capacity * 4, CHUNK_COMMANDS_MAX);
    this.#capacity = capacity;
    this.op = grown(this.op, new Uint8Array(capacity));
    this.nameStart = grown(this.nameStart, new Int32Array(capacity));
    this.nameLength = grown(this.nameLength, new Int32Array(capacity));
    this.amount = grown(this.amount, new Int32Array(capacity * 2));
    this.route = grown(this.route, new Uint8Array(capacity));
    this.code = grown(this.code, new Uint8Array(capacity));
    this.flags = grown(this.flags, new Uint8Array(capacity));
    this.value = grown(this.value, new Int32Array(capacity * 2));
    this.other = grown(this.other, new Int32Array(capacity * 2));
    this.updatedAt = grown(this.updatedAt, new Uint32Array(capacity));
  }
}

function nameBytes(bytes: Uint8Array): NameBytes {
  return { bytes, view: viewOf(bytes) };
}
