import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { Chunk, type CommandOptions, Op } from '../counter/chunk.ts';
import { readInt64 } from '../counter/int64.ts';
import { nodeHost } from '../host/node/node.ts';
import { putValue, ValueEntry, type Values } from '../journal/entries/value.ts';
import { GroupBuffer } from '../journal/group.ts';
import { type DurableReader, DurableStream } from './durable-stream.ts';
import { Engine } from './engine.ts';

let engine: Engine;

beforeEach(async () => {
  engine = await Engine.open({ disk: new SimulatedDisk({ seed: 1 }), host: nodeHost(), durability: 'always' });
});

afterEach(() => engine.close());

async function run(op: Op, name: string, amount = 0n, options?: CommandOptions): Promise<void> {
  const chunk = new Chunk();
  chunk.pushName(op, name, amount, options);
  await new Promise<void>((resolve) => {
    chunk.complete = resolve;
    engine.submit(chunk);
  });
}

/** Reads what becomes of records, as text. */
class Reader implements DurableReader {
  readonly seen: string[] = [];

  group(sequence: bigint): void {
    this.seen.push(`group ${sequence}`);
  }

  values({ words, view, at, count }: Values): void {
    for (const entry of at.subarray(0, count)) {
      const length = (words[entry + ValueEntry.kindAndLength] >>> 8) & 0xff;
      const value = readInt64(words, entry + ValueEntry.low);
      this.seen.push(`${keyText(view, (entry + ValueEntry.key) * 4, length)} = ${value}`);
    }
  }

  deadline(deadlineMs: number, _kind: number, nameLength: number, key: DataView, start: number): void {
    this.seen.push(`${keyText(key, start, nameLength)} until ${deadlineMs}`);
  }

  delete(_kind: number, nameLength: number, key: DataView, start: number): void {
    this.seen.push(`${keyText(key, start, nameLength)} is gone`);
  }
}

function keyText({ buffer, byteOffset }: DataView, start: number, length: number): string {
  return Buffer.from(buffer, byteOffset + start, length).toString();
}

describe('the durable stream', () => {
  it('tells every group once, in order, only after its sync', async () => {
    const sequences: bigint[] = [];
    const reader = new Reader();
    reader.group = (sequence) => {
      sequences.push(sequence);
      expect(engine.info().durableSequence).toBe(sequence);
    };
    engine.readDurable(reader);
    for (let i = 0; i < 20; i++) await run(Op.add, 'a', 1n);
    expect(sequences.length).toBeGreaterThan(0);
    expect(sequences).toEqual(sequences.map((_, i) => sequences[0] + BigInt(i)));
  });

  it('tells values, deadlines and deletes, and no idempotency records', async () => {
    const reader = new Reader();
    engine.readDurable(reader);
    const unixMs = Date.now() + 60_000;
    await run(Op.add, 'a', 5n, { id: { scope: 'request', key: 'k', fingerprint: 'aa' } });
    await run(Op.add, 'b', -2n, { deadline: { kind: 'at', unixMs } });
    await run(Op.delete, 'a');
    expect(reader.seen.filter((text) => !text.startsWith('group'))).toEqual([
      'a = 5',
      'b = -2',
      `b until ${unixMs}`,
      'a is gone',
    ]);
  });

  it('can be left, at once', async () => {
    const reader = new Reader();
    const leave = engine.readDurable(reader);
    await run(Op.add, 'a', 1n);
    const seen = [...reader.seen];
    leave();
    await run(Op.add, 'a', 1n);
    expect(reader.seen).toEqual(seen);
  });

  it('goes on for others when a reader throws; that one has left it', () => {
    const faults: unknown[] = [];
    const stream = new DurableStream((fault) => faults.push(fault));
    const fault = new Error('a reader that throws');
    const [bad, good] = [new Reader(), new Reader()];
    bad.values = () => {
      throw fault;
    };
    for (const reader of [bad, good]) stream.read(reader);
    const group = new GroupBuffer();
    for (const sequence of [1n, 2n]) {
      group.begin();
      group.stamp(sequence, 0);
      putValue(group, 7, 0, 0, 0, 1, Int32Array.of(0x61), 0);
      stream.feed(group);
    }
    expect(faults).toEqual([fault]);
    expect(bad.seen).toEqual(['group 1']);
    expect(good.seen).toEqual(['group 1', 'a = 7', 'group 2', 'a = 7']);
  });
});
