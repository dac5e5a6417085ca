/**
 * One chunk that has shared counters in it, from its submission to its completion: its counters are loaded, then its
 * commands are executed in order, as many at a time as one chunk of the engine can take.
 *
 * A run is a sequence of commands that the engine can take together: adds and reads of shared counters, each on this
 * incarnation's slot; or commands on local counters, as they are. Set and delete of a shared counter are cuts, one by
 * one.
 */
import { Chunk, Flag, Op } from '../counter/chunk.ts';
import { CountingError, DONE, ERRORS, errorCode } from '../counter/errors.ts';
import { clampInt64, fitsInt64, readInt64, writeInt64 } from '../counter/int64.ts';
import { Route } from '../counter/route.ts';
import type { CountingService } from '../counter/service.ts';
import { assert } from '../std/assert.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import type { CutCall, CutOutcome, Cutter } from './cutter.ts';
import type { Own } from './local-slots.ts';
import type { SharedCounter } from './shared-counter.ts';

/** Per position why a command is not executed; `DONE`: it is. */
export type Codes = Uint8Array;

/** A command's counter: a shared one, or undefined for a local one, or one that is refused. */
export type Counters = readonly (SharedCounter | undefined)[];

export interface CallContext {
  readonly engine: CountingService;
  readonly cutter: Cutter;
  readonly own: () => Own;
  readonly nowMs: () => number;
  /** Reusable chunks for the engine. */
  readonly spare: Chunk[];
}

/** Instead of a code: the command is already executed, or not yet. */
export const NOT_NOW = 255;

const SPARE_MAX = 64;
const SPARE_COMMANDS_MAX = 4_096;
const EXISTED = 1;
const UNDER_WAY = 2;

/** Executes the chunk's commands. Its outcomes are filled in when this resolves; it never rejects for bad input. */
export async function carryOut(chunk: Chunk, counters: Counters, codes: Codes, context: CallContext): Promise<void> {
  const cuts = context.cutter.begin();
  await carryOutAll(chunk, counters, codes, context, cuts);
  await context.cutter.end(cuts);
}

async function carryOutAll(
  chunk: Chunk,
  counters: Counters,
  codes: Codes,
  context: CallContext,
  cuts: CutCall,
): Promise<void> {
  // Runs need not wait for each other, because the engine takes them in order; only cuts wait for earlier commands.
  const runs: Promise<void>[] = [];
  for (let from = 0; from < chunk.count; ) {
    if (codes[from] === NOT_NOW) {
      from++;
    } else if (codes[from] !== DONE) {
      refuse(chunk, from, codes[from] as number);
      from++;
    } else if (chunk.route[from] === Route.decided) {
      await Promise.all(runs.splice(0));
      const counter = counters[from] as SharedCounter;
      if (chunk.refusal === DONE) await carryOutCut(chunk, from, counter, cuts, context);
      if (chunk.refusal !== DONE) return;
      from++;
    } else {
      const to = endOfRun(chunk, codes, from);
      runs.push(carryOutRun(chunk, counters, from, to, context));
      cuts.isPublished = false;
      from = to;
    }
  }
  await Promise.all(runs);
}

/** Whether all commands can go to the engine together, so that no command waits for another. */
export function isOneRun(chunk: Chunk, codes: Codes): boolean {
  return endOfRun(chunk, codes, 0) === chunk.count;
}

/** Submits the commands `[from, to)` to the engine, and calls back with their outcomes in the chunk. */
export function submitRun(
  chunk: Chunk,
  counters: Counters,
  from: number,
  to: number,
  context: CallContext,
  done: () => void,
): void {
  const run =
    chunk.route[from] === Route.local
      ? new LocalRun(chunk, from, to)
      : new SharedRun(chunk, counters, from, to, context);
  const { inner } = run;
  inner.complete = () => {
    chunk.appliedAtMs = inner.appliedAtMs;
    if (inner.refusal !== DONE && ERRORS[errorCode(inner.refusal)].outcome === 'unknown') chunk.refusal = inner.refusal;
    for (let i = from; i < to; i++) {
      copyOutcome(inner, i - from, chunk, i);
      run.tell(i);
    }
    run.end();
    done();
  };
  context.engine.submit(inner);
}

function carryOutRun(chunk: Chunk, counters: Counters, from: number, to: number, context: CallContext): Promise<void> {
  return new Promise((resolve) => submitRun(chunk, counters, from, to, context, resolve));
}

/** The end of the run that starts with the first command; `from` if there is none. */
function endOfRun(chunk: Chunk, codes: Codes, from: number): number {
  const route = chunk.route[from];
  let to = from;
  if (route === Route.decided) return to;
  while (to < chunk.count && codes[to] === DONE && chunk.route[to] === route) to++;
  return to;
}

/** Commands on local counters, as they are. */
class LocalRun {
  readonly inner: Chunk;

  constructor(chunk: Chunk, from: number, to: number) {
    this.inner = new Chunk(to - from);
    this.inner.names = chunk.names;
    for (let i = from; i < to; i++) {
      const low = chunk.amount[2 * i] as number;
      const high = chunk.amount[2 * i + 1] as number;
      this.inner.push(chunk.op[i] as Op, chunk.nameStart[i] as number, chunk.nameLength[i] as number, low, high);
      const options = chunk.options[i];
      if (options !== undefined) this.inner.options[i - from] = options;
    }
  }

  tell(): void {}

  end(): void {}
}

/** Adds and reads of shared counters, each on this incarnation's slot. */
class SharedRun {
  readonly inner: Chunk;
  readonly #chunk: Chunk;
  readonly #counters: Counters;
  readonly #from: number;
  readonly #replica: ReplicaId;
  readonly #own: () => Own;
  readonly #spare: Chunk[];
  /** Per command: why an add is only a read. */
  readonly #refusals: Uint8Array;
  /** Per command: whether the counter existed before, and whether its amount is in `underWay`. */
  readonly #marks: Uint8Array;

  constructor(chunk: Chunk, counters: Counters, from: number, to: number, { own, spare }: CallContext) {
    const { ordinal, replica } = own();
    this.inner = spare.pop() ?? new Chunk(to - from);
    this.#chunk = chunk;
    this.#counters = counters;
    this.#from = from;
    this.#replica = replica;
    this.#own = own;
    this.#spare = spare;
    this.#refusals = new Uint8Array(to - from);
    this.#marks = new Uint8Array(to - from);
    for (let i = from; i < to; i++) this.#push(i, ordinal);
  }

  #push(i: number, ordinal: number): void {
    const chunk = this.#chunk;
    const counter = this.#counters[i] as SharedCounter;
    const at = i - this.#from;
    if (counter.exists) this.#marks[at] = EXISTED;
    let op: Op = Op.get;
    if (chunk.op[i] === Op.add && this.#takes(i, counter)) op = Op.add;
    const low = chunk.amount[2 * i] as number;
    const high = chunk.amount[2 * i + 1] as number;
    const [start, length] = [chunk.nameStart[i] as number, chunk.nameLength[i] as number];
    this.inner.pushSlotBytes(op, chunk.names, start, length, ordinal, low, high);
  }

  /**
   * Whether the add is accepted. The sum of all must stay in 64 bits; if it does not, because others count too, only
   * adds that lead back are accepted.
   */
  #takes(i: number, counter: SharedCounter): boolean {
    const high = this.#chunk.amount[2 * i + 1] as number;
    if ((high === 0 || high === -1) && counter.isRoomy) return true;
    const at = i - this.#from;
    const amount = readInt64(this.#chunk.amount, 2 * i);
    const value = counter.value + counter.underWay;
    if (!fitsInt64(value + amount)) {
      if (fitsInt64(value)) this.#refusals[at] = ERRORS.overflow.id;
      else if (value < 0n !== amount > 0n) this.#refusals[at] = ERRORS.out_of_range.id;
      if (this.#refusals[at] !== DONE) return false;
    }
    counter.underWay += amount;
    this.#marks[at] = (this.#marks[at] as number) | UNDER_WAY;
    return true;
  }

  /** Turns the slot's outcome into the counter's. */
  tell(i: number): void {
    const { inner } = this;
    const chunk = this.#chunk;
    const at = i - this.#from;
    const counter = this.#counters[i] as SharedCounter;
    const marks = this.#marks[at] as number;
    const isAdd = inner.op[at] === Op.add;
    if ((marks & UNDER_WAY) !== 0) counter.underWay -= readInt64(chunk.amount, 2 * i);
    if (inner.refusal !== DONE) return;
    if (inner.code[at] === DONE && (isAdd || inner.hasFlag(at, Flag.existed))) {
      // The id has changed: this slot is among the others already, or will be.
      if (this.#own().replica !== this.#replica) counter.left(this.#replica, inner.valueAt(at));
      else counter.setOwn(inner.value[2 * at] as number, inner.value[2 * at + 1] as number);
    }
    if (isAdd && inner.code[at] === DONE) chunk.sequence = inner.sequence;
    const exists = isAdd ? (marks & EXISTED) !== 0 : counter.exists;
    const changed = (chunk.flags[i] as number) & Flag.changed;
    chunk.flags[i] = (exists ? Flag.existed : 0) | changed | (counter.warmth === 'partial' ? Flag.partial : 0);
    if (chunk.code[i] === DONE) chunk.code[i] = this.#refusals[at] as number;
    this.#tellValue(i, counter, exists || isAdd);
  }

  #tellValue(i: number, counter: SharedCounter, exists: boolean): void {
    const chunk = this.#chunk;
    chunk.updatedAt[i] = exists ? Math.max(chunk.updatedAt[i] as number, counter.updatedAtSeconds) : 0;
    if (chunk.op[i] === Op.deadline) writeInt64(chunk.value, 2 * i, -1n);
    else if (!exists) writeInt64(chunk.value, 2 * i, 0n);
    else if (counter.writeValue(chunk.value, 2 * i)) return;
    // It has been counted, so this is not a refusal.
    else if (chunk.op[i] === Op.add && chunk.code[i] === DONE)
      writeInt64(chunk.value, 2 * i, clampInt64(counter.value));
    else chunk.code[i] = ERRORS.out_of_range.id;
  }

  end(): void {
    this.inner.reset();
    if (this.#spare.length < SPARE_MAX && this.inner.op.length <= SPARE_COMMANDS_MAX) this.#spare.push(this.inner);
  }
}

async function carryOutCut(
  chunk: Chunk,
  i: number,
  counter: SharedCounter,
  cuts: CutCall,
  { cutter, nowMs }: CallContext,
): Promise<void> {
  clear(chunk, i);
  chunk.appliedAtMs = nowMs();
  try {
    const isSet = chunk.op[i] === Op.set;
    const value = readInt64(chunk.amount, 2 * i);
    const onlyIf = chunk.options[i]?.onlyIf;
    assert(typeof onlyIf !== 'object', 'a condition on the count of a shared counter was refused');
    const outcome = isSet
      ? await cutter.set(cuts, counter.name, value, onlyIf)
      : await cutter.delete(cuts, counter.name);
    tellCut(chunk, i, outcome, isSet ? value : 0n, nowMs);
  } catch (error) {
    if (!(error instanceof CountingError)) throw error;
    if (error.entry.outcome === 'unknown') chunk.refusal = error.entry.id;
    refuse(chunk, i, error.entry.id);
  }
}

function tellCut(chunk: Chunk, i: number, outcome: CutOutcome, value: bigint, nowMs: () => number): void {
  const { existed, before, isChanged } = outcome;
  chunk.flags[i] = (existed ? Flag.existed : 0) | (isChanged ? Flag.changed : 0);
  writeInt64(chunk.other, 2 * i, before);
  writeInt64(chunk.value, 2 * i, isChanged || chunk.op[i] === Op.delete ? value : before);
  chunk.updatedAt[i] = Math.floor(nowMs() / 1000);
}

function copyOutcome(inner: Chunk, from: number, chunk: Chunk, to: number): void {
  chunk.code[to] = inner.refusal === DONE ? (inner.code[from] as number) : inner.refusal;
  chunk.flags[to] = inner.flags[from] as number;
  for (let lane = 0; lane < 2; lane++) {
    chunk.value[2 * to + lane] = inner.value[2 * from + lane] as number;
    chunk.other[2 * to + lane] = inner.other[2 * from + lane] as number;
  }
  chunk.updatedAt[to] = inner.updatedAt[from] as number;
}

export function refuse(chunk: Chunk, i: number, code: number): void {
  clear(chunk, i);
  chunk.code[i] = code;
}

function clear(chunk: Chunk, i: number): void {
  chunk.code[i] = DONE;
  chunk.flags[i] = 0;
  chunk.updatedAt[i] = 0;
  writeInt64(chunk.value, 2 * i, 0n);
  writeInt64(chunk.other, 2 * i, 0n);
}
