/**
 * The path of `add` from a string to the engine. Adds are gathered until the program pauses, and then applied as one
 * chunk: their cache misses overlap, and repeated adds to one counter are summed first. This is done only while an add
 * cannot be refused because of the counter's value (except for an overflow, which the next `flush` reports); otherwise
 * each add is applied alone.
 *
 * Invariants:
 * - Reads and waits call `settle` first, so gathering is never visible.
 * - Everything gathered has room in the engine: no other work has a turn before it is settled.
 */
import { Chunk, Op } from '../counter/chunk.ts';
import { CountingError, DONE } from '../counter/errors.ts';
import { highLane } from '../counter/int64.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';
import type { Engine } from '../engine/engine.ts';
import { assert } from '../std/assert.ts';
import { type Count, checkedCount, checkedName, refusal } from './arguments.ts';

const GATHERED_MAX = 4_096;
/** Handles that are kept. When there are more names than that, which of them are kept is left to chance. */
const HANDLES_MAX = 8_192;
/**
 * After this many adds to names without a handle, one gets a handle: a frequent name has it soon, and a rare one costs
 * little.
 */
const ADDS_PER_HANDLE = 64;

/** A frequent counter and its gathered adds. */
export class Handle {
  readonly name: string;
  /** The chunk that it was gathered in last, its command there, and the sum so far, a safe integer. */
  chunk = 0;
  command = 0;
  sum = 0;

  /** @param name well-formed */
  constructor(name: string) {
    this.name = name;
  }
}

export class Additions {
  readonly #engine: Engine;
  readonly #handles = new Map<string, Handle>();
  readonly #gathered = new Chunk(GATHERED_MAX);
  /** The number of the gathering chunk. */
  #chunk = 1;
  /** The handles that are in it. */
  readonly #summed: Handle[] = [];
  readonly #alone = new Chunk(1);
  #untilHandle = ADDS_PER_HANDLE;
  #isSettling = false;
  /** The first refusal of an add that had already returned. */
  #refusal: number = DONE;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @throws CountingError why it was not counted */
  add(name: string, by: Count): void {
    const handle = this.#handles.get(name);
    if (handle !== undefined) {
      this.addTo(handle, by);
    } else if (isInt32(by) && isShort(checkedName(name)) && this.#hasRoom()) {
      if (--this.#untilHandle === 0) this.#keepHandle(name);
      this.#gather(name, by);
    } else {
      this.#addAlone(checkedName(name), checkedCount(by));
    }
  }

  /** @throws CountingError why it was not counted */
  addTo(handle: Handle, by: Count): void {
    if (isInt32(by)) {
      if (handle.chunk === this.#chunk) {
        const sum = handle.sum + by;
        if (Number.isSafeInteger(sum)) {
          handle.sum = sum;
          return;
        }
      } else if (isShort(handle.name) && this.#hasRoom()) {
        handle.chunk = this.#chunk;
        handle.sum = by;
        this.#summed.push(handle);
        handle.command = this.#gather(handle.name, by);
        return;
      }
    }
    this.#addAlone(handle.name, checkedCount(by));
  }

  /** Passes everything gathered to the engine. */
  settle(): void {
    const chunk = this.#gathered;
    if (chunk.count === 0) return;
    for (const { command, sum } of this.#summed) {
      chunk.amount[2 * command] = sum | 0;
      chunk.amount[2 * command + 1] = highLane(sum);
    }
    // Otherwise adds that have returned would be silently lost.
    assert(this.#engine.executeNow(chunk), 'what is gathered has room');
    for (let i = 0; i < chunk.count && this.#refusal === DONE; i++) {
      this.#refusal = chunk.refusal === DONE ? chunk.code[i] : chunk.refusal;
    }
    chunk.reset();
    this.#summed.length = 0;
    this.#chunk++;
  }

  /** @throws CountingError the first refusal of an add that had returned already */
  throwRefusal(): void {
    const id = this.#refusal;
    this.#refusal = DONE;
    if (id !== DONE) throw refusal(id);
  }

  /** Whether one more name may be gathered. */
  #hasRoom(): boolean {
    if (this.#gathered.count === GATHERED_MAX) this.settle();
    return this.#engine.takesAdds(this.#gathered.count + 1);
  }

  /** @returns its command in the chunk */
  #gather(name: string, by: number): number {
    if (!this.#isSettling) {
      this.#isSettling = true;
      queueMicrotask(() => {
        this.#isSettling = false;
        this.settle();
      });
    }
    return this.#gathered.pushNameLanes(Op.add, name, by, by >> 31);
  }

  #keepHandle(name: string): void {
    this.#untilHandle = ADDS_PER_HANDLE;
    if (this.#handles.size >= HANDLES_MAX) this.#handles.clear();
    this.#handles.set(name, new Handle(name));
  }

  #addAlone(name: string, by: bigint): void {
    this.settle();
    const chunk = this.#alone;
    chunk.reset();
    chunk.pushName(Op.add, name, by);
    if (!this.#engine.executeNow(chunk)) {
      throw new CountingError('overloaded', 'too much is waiting for the disk, nothing was counted: await flush()');
    }
    const code = chunk.refusal === DONE ? chunk.code[0] : chunk.refusal;
    if (code !== DONE) throw refusal(code);
  }
}

/** Whether its UTF-8 certainly is a valid name's. */
function isShort(name: string): boolean {
  return name.length > 0 && name.length * 3 <= NAME_BYTES_MAX;
}

function isInt32(by: Count): by is number {
  return typeof by === 'number' && (by | 0) === by;
}
