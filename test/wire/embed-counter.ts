// A process that embeds Tallyd in the directory of its first argument and counts until it is killed: adds in bursts of
// random size, flushes, and says what it has tried before and what is acknowledged after each flush.

import { open } from '../../src/server/embed.ts';
import { SeededRandom } from '../../src/std/random.ts';

const [directory = '', seed = '0'] = process.argv.slice(2);
const random = new SeededRandom(Number(seed));
const tally = await open({ dir: directory });
const before = await tally.get('total');
process.stdout.write(`before ${before}\n`);
for (let total = 0; ; ) {
  const burst = 1 + random.below(500);
  process.stdout.write(`tried ${total + burst}\n`);
  for (let i = 0; i < burst; i++) tally.add('total');
  await tally.flush();
  total += burst;
  process.stdout.write(`acknowledged ${total}\n`);
}
