import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Chunk, Op } from './chunk.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('an emptied chunk holds no large buffer, of its own or lent to it', async () => {
  const chunk = new Chunk();
  for (let i = 0; i < 10_000; i++) chunk.pushName(Op.get, 'x'.repeat(255));
  expect(chunk.names.length).toBeGreaterThan(2_550_000);
  chunk.reset();
  expect(chunk.names.length).toBeLessThanOrEqual(256 * 1024);
  const lend = (): WeakRef<Uint8Array> => {
    const lent = new Uint8Array(8 * 1024 * 1024);
    chunk.names = lent;
    return new WeakRef(lent);
  };
  const lent = lend();
  chunk.reset();
  // What a WeakRef was made for lives to the end of the turn.
  await new Promise(setImmediate);
  collectGarbage();
  expect(lent.deref()).toBeUndefined();
});
