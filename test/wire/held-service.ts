// A counting service that holds every chunk until the test lets it go, and can end it in any way: for what doors do
// while they wait, and for outcomes that a healthy engine never has.

import { type Chunk, Flag, Op } from '../../src/counter/chunk.ts';
import { addInt64 } from '../../src/counter/int64.ts';
import type {
  CountingService,
  ScanPage,
  ScanRequest,
  ServiceInfo,
  SnapshotSummary,
} from '../../src/counter/service.ts';

/** What a chunk asked for, as the service saw it: `add a`. */
export type Seen = readonly string[];

const OPS = Object.fromEntries(Object.entries(Op).map(([name, op]) => [op, name]));

export class HeldService implements CountingService {
  /** Every chunk that was submitted. */
  readonly seen: Seen[] = [];
  /** Completes chunks within `submit`, as an engine does with reads of what is durable. */
  isImmediate = false;
  readonly #held: Chunk[] = [];
  readonly #values = new Map<string, Int32Array>();
  #wake: () => void = () => undefined;

  submit(chunk: Chunk): void {
    this.seen.push(Array.from({ length: chunk.count }, (_, i) => `${OPS[chunk.op[i]]} ${nameOf(chunk, i)}`));
    chunk.keepNames();
    this.#held.push(chunk);
    if (this.isImmediate) this.complete();
    this.#wake();
  }

  /** Waits until `count` chunks have been submitted. */
  async submitted(count: number): Promise<void> {
    while (this.seen.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** Completes the oldest chunk: adds add, everything else finds what adds have left. */
  complete(): void {
    const chunk = this.#take();
    for (let i = 0; i < chunk.count; i++) this.#execute(chunk, i);
    chunk.complete();
  }

  /** Ends the oldest chunk as a whole with this error. */
  refuse(error: { readonly id: number }): void {
    const chunk = this.#take();
    chunk.refusal = error.id;
    chunk.complete();
  }

  /** Completes the oldest chunk, in which one command has this error. */
  fail(command: number, error: { readonly id: number }): void {
    const chunk = this.#take();
    for (let i = 0; i < chunk.count; i++) this.#execute(chunk, i);
    chunk.code[command] = error.id;
    chunk.complete();
  }

  scan(_request: ScanRequest): Promise<ScanPage> {
    return Promise.resolve({ entries: [], cursor: undefined });
  }

  snapshot(): Promise<SnapshotSummary> {
    return Promise.resolve({ file: 'snapshot', counters: 0, bytes: 0, sequence: 0n });
  }

  info(): ServiceInfo {
    return {
      state: 'open',
      durability: 'always',
      counters: this.#values.size,
      sequence: 0n,
      durableSequence: 0n,
      groups: 0,
      syncs: 0,
      commands: 0,
      journalBytes: 0,
      tableBytes: 0,
      tableBytesMax: Number.MAX_SAFE_INTEGER,
      idempotencyRecords: 0,
      idempotencyBytes: 0,
      failure: undefined,
    };
  }

  #take(): Chunk {
    const chunk = this.#held.shift();
    if (chunk === undefined) throw new Error('no chunk is held');
    return chunk;
  }

  #execute(chunk: Chunk, i: number): void {
    const name = nameOf(chunk, i);
    const value = this.#values.get(name) ?? new Int32Array(2);
    chunk.code[i] = 0;
    chunk.flags[i] = this.#values.has(name) ? Flag.existed : 0;
    if (chunk.op[i] === Op.add) {
      addInt64(value, 0, value, 0, chunk.amount, 2 * i);
      this.#values.set(name, value);
      chunk.flags[i] |= Flag.changed;
    }
    chunk.value.set(value, 2 * i);
  }
}

function nameOf(chunk: Chunk, i: number): string {
  const start = chunk.nameStart[i];
  return Buffer.from(chunk.names.subarray(start, start + chunk.nameLength[i])).toString('latin1');
}
