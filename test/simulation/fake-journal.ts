/** A journal of slots in memory, for tests of single parts of the exchange: every chunk is answered in a later turn. */
import { type Chunk, Flag, Op } from '../../src/counter/chunk.ts';
import { writeInt64 } from '../../src/counter/int64.ts';
import type { SlotJournal } from '../../src/exchange/slot-journal.ts';

export class FakeJournal {
  /** Nets by name and ordinal, as `name/ordinal`. */
  readonly nets = new Map<string, bigint>();
  sequence = 0n;
  /** Instead of carrying chunks out, refuses them with this code. */
  refusal = 0;

  /** As the parts take it: they use no more of a journal than is here. */
  get port(): SlotJournal {
    return this as unknown as SlotJournal;
  }

  submit(chunk: Chunk): void {
    queueMicrotask(() => {
      chunk.refusal = this.refusal;
      if (this.refusal === 0) for (let i = 0; i < chunk.count; i++) this.#apply(chunk, i);
      chunk.complete();
    });
  }

  info(): { readonly sequence: bigint } {
    return { sequence: this.sequence };
  }

  async turn(): Promise<void> {}

  #apply(chunk: Chunk, i: number): void {
    const start = chunk.nameStart[i] as number;
    const end = start + ((chunk.nameLength[i] as number) & 0xff);
    const name = Buffer.from(chunk.names.subarray(start, end)).toString();
    const key = `${name}/${chunk.namesView.getUint32(end, true)}`;
    const known = this.nets.get(key);
    const amount = BigInt.asIntN(
      64,
      (BigInt(chunk.amount[2 * i + 1] as number) << 32n) | BigInt((chunk.amount[2 * i] as number) >>> 0),
    );
    let net = known ?? 0n;
    if (chunk.op[i] === Op.add) net += amount;
    if (chunk.op[i] === Op.set && known === undefined) net = amount;
    if (chunk.op[i] !== Op.get) {
      this.nets.set(key, net);
      chunk.sequence = ++this.sequence;
    }
    chunk.flags[i] = known === undefined ? 0 : Flag.existed;
    writeInt64(chunk.value, 2 * i, net);
  }
}
