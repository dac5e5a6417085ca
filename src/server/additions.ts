/**
 * The way of `add` from a string to the engine. Counters that are added to often have a handle that leads straight to
 * their record. The others are gathered, as long as the program runs on without a pause, and applied as one chunk, so
 * that their cache misses overlap; but only while an add can't be refused for what the counter's value is (save for an
 * overflow, which the next `flush` then tells).
 *
 * Invariant: whoever reads or waits calls `settle` first, so that nobody sees that something is gathered.
 */
import { Chunk, Op } from '../counter/chunk.ts';
import { CountingError, DONE, type ErrorCode, errorCode } from '../counter/errors.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';
import type { Engine } from '../engine/engine.ts';
import { Handle } from '../engine/handle.ts';
import { type Count, checkedCount, checkedName } from './arguments.ts';

const GATHERED_MAX = 256;
/** Handles that are kept. When there are more names than that, which of them are kept is left to chance. */
const HANDLES_MAX = 8_192;
/** So many adds to names without a handle bring one: one that is added to often has it soon, and a rare one costs little. */
const ADDS_PER_HANDLE = 64;

export class Additions {
  readonly #engine: Engine;
  readonly #handles = new Map<string, Handle>();
  readonly #gathered = new Chunk(GATHERED_MAX);
  readonly #alone = new Chunk(1);
  #untilHandle = ADDS_PER_HANDLE;
  #isSettling = false;
  /** The first refusal of an add that had returned already. */
  #refusal: ErrorCode | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @throws CountingError why it was not counted */
  add(name: string, by: Count): void {
    const handle = this.#handles.get(name);
    if (handle !== undefined) this.addTo(handle, by);
    else if (isInt32(by) && isShort(checkedName(name)) && this.#engine.takesAdds(this.#gathered.count + 1)) {
      this.#gather(name, by);
    } else this.#addAlone(checkedName(name), checkedCount(by));
  }

  /** @throws CountingError why it was not counted */
  addTo(handle: Handle, by: Count): void {
    if (isInt32(by) && this.#engine.addTo(handle, by)) return;
    this.#addAlone(handle.name, checkedCount(by));
  }

  /** Hands everything that is gathered to the engine. */
  settle(): void {
    const chunk = this.#gathered;
    if (chunk.count === 0) return;
    // There was room when they were taken, and nobody else has been here since.
    this.#engine.applyNow(chunk);
    for (let i = 0; i < chunk.count && this.#refusal === undefined; i++) {
      const code = chunk.refusal === DONE ? chunk.code[i] : chunk.refusal;
      if (code !== DONE) this.#refusal = errorCode(code);
    }
    chunk.reset();
  }

  /** @throws CountingError the first refusal of an add that had returned already */
  throwRefusal(): void {
    const code = this.#refusal;
    this.#refusal = undefined;
    if (code !== undefined) throw new CountingError(code);
  }

  #gather(name: string, by: number): void {
    const chunk = this.#gathered;
    if (--this.#untilHandle === 0) this.#keepHandle(name);
    chunk.pushNameLanes(Op.add, name, by, by >> 31);
    if (chunk.count === GATHERED_MAX) {
      this.settle();
    } else if (!this.#isSettling) {
      this.#isSettling = true;
      queueMicrotask(() => {
        this.#isSettling = false;
        this.settle();
      });
    }
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
    if (!this.#engine.applyNow(chunk)) {
      throw new CountingError('overloaded', 'too much is waiting for the disk, nothing was counted: await flush()');
    }
    const code = chunk.refusal === DONE ? chunk.code[0] : chunk.refusal;
    if (code !== DONE) throw new CountingError(errorCode(code));
  }
}

/** Whether its UTF-8 certainly is a valid name's. */
function isShort(name: string): boolean {
  return name.length > 0 && name.length * 3 <= NAME_BYTES_MAX;
}

function isInt32(by: Count): by is number {
  return typeof by === 'number' && (by | 0) === by;
}
