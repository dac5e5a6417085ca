// A process that embeds Tallyd in the directory of its first argument and counts until it is killed: adds in bursts of
// random size, flushes, and says what it has tried before and what is acknowledged after each flush.

import { open } from '../../src/server/embed.ts';
import { SeededRandom } from '../../src/std/random.ts';

const [directory = '', seed = '0'] = process.argv.slice(2);
/** Resolves when it cannot get lost any more: what still waits in this process ends with it. */
const say = (line: string): Promise<void> =>
  new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
const random = new SeededRandom(Number(seed));
const tally = await open({ dir: directory });
const before = await tally.get('total');
await say(`before ${before}`);
for (let total = 0; ; ) {
  const burst = 1 + random.below(500);
  await say(`tried ${total + burst}`);
  for (let i = 0; i < burst; i++) tally.add('total');
  await tally.flush();
  total += burst;
  await say(`acknowledged ${total}`);
}
