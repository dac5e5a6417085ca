import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Chunk, Op } from '../counter/chunk.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { nodeHost } from '../host/node/node.ts';
import { Engine } from './engine.ts';

function submit(engine: Engine, fill: (chunk: Chunk) => void): Promise<void> {
  return new Promise((resolve) => {
    const chunk = new Chunk();
    fill(chunk);
    chunk.complete = resolve;
    engine.submit(chunk);
  });
}

it('a start tells whose slots it has read: from the journal also those that are gone, and from a snapshot', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tallyd-ordinals-'));
  const open = () => Engine.open({ disk: new NodeDisk(directory), host: nodeHost(), durability: 'always' });
  let engine = await open();
  expect([...engine.recoveredOrdinals]).toEqual([]);
  await submit(engine, (chunk) => chunk.pushName(Op.add, 'a', 1n));
  await submit(engine, (chunk) => {
    for (const ordinal of [3, 70_000, 3]) chunk.pushSlot(Op.add, 'a', ordinal, 1n);
  });
  await submit(engine, (chunk) => chunk.pushSlot(Op.delete, 'a', 70_000, 0n));
  await engine.close();

  engine = await open();
  expect([...engine.recoveredOrdinals]).toEqual([3, 70_000]);
  expect([...engine.slotOrdinals()]).toEqual([3]);
  await engine.snapshot();
  await engine.close();

  engine = await open();
  expect([...engine.recoveredOrdinals]).toEqual([3]);
  await engine.close();
  await rm(directory, { recursive: true });
});
