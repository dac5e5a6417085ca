import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Chunk, Op } from '../counter/chunk.ts';
import { open } from './embed.ts';
import { openEngine } from './open-engine.ts';

it('a directory that has counted for a store is refused without one, also when its replica.json is gone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tallyd-open-'));
  const open = (isShared: boolean) => openEngine({ directory, takeOver: false, isShared, durability: 'always' });
  const { engine, ownership } = await open(true);
  const chunk = new Chunk();
  chunk.pushSlot(Op.add, 'a', 1, 5n);
  await new Promise<void>((resolve) => {
    chunk.complete = resolve;
    engine.submit(chunk);
  });
  await engine.close();
  await ownership.release();
  await rm(join(directory, 'replica.json'));
  // Twice: the file that the first start makes is not the one that was removed.
  for (let i = 0; i < 2; i++)
    await expect(open(false)).rejects.toThrow('its replica.json, which said which one, was removed');
  await rm(directory, { recursive: true });
});

it('an embedded close does not fail because owner.json cannot be written', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tallyd-owner-'));
  const tally = await open({ dir: directory });
  await tally.increment('a');
  // Nothing can be made under that name.
  await mkdir(join(directory, 'owner.json.new'));
  await tally.close();
  expect(JSON.parse(await readFile(join(directory, 'owner.json'), 'utf8'))).toMatchObject({ released: false });
  await rm(directory, { recursive: true });
});
