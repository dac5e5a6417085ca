/**
 * Counts in its own process with `open()`, as fast as it can, and prints `result {...}`. The names are strings that
 * exist already, as they do in a program that counts. Everything that is counted is durable before the clock stops.
 */
import type * as embed from '../../src/server/embed.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { nameOf } from '../load/stream.ts';
import type { EmbeddedOrder, EmbeddedResult } from './embedded.ts';

const DRAWS = 1 << 20;
/** Adds between two turns of the event loop, one or two milliseconds of work: the journal goes on meanwhile. */
const SLICE = 16_384;

// What users import; the type comes from the source, since a checkout can be checked before it is built.
const built = new URL('../../dist/server/embed.js', import.meta.url).href;
const { open, CountingError } = (await import(built)) as typeof embed;
const { directory, names, seed, warmUpMs, durationMs } = JSON.parse(process.argv[2] ?? '') as EmbeddedOrder;
const tally = await open({ dir: directory });
let added = 0;

/** Adds 1 to each of `count` names; where the journal has no room, waits for the disk first. */
async function addAll(nameAt: (position: number) => string, count: number): Promise<void> {
  for (let i = 0; i < count; ) {
    try {
      for (; i < count; i++) tally.add(nameAt(i));
    } catch (error) {
      if (!(error instanceof CountingError) || error.code !== 'overloaded') throw error;
      await tally.flush();
    }
  }
  added += count;
}

async function addFor(draws: readonly string[], milliseconds: number): Promise<number> {
  const before = added;
  const until = performance.now() + milliseconds;
  for (let at = 0; performance.now() < until; at = (at + SLICE) % draws.length) {
    await addAll((i) => draws[at + i], SLICE);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await tally.flush();
  return added - before;
}

await addAll(nameOf, names);
const random = new SeededRandom(seed);
// Few names are the same strings again and again, as they are in a program.
const few = names <= DRAWS ? Array.from({ length: names }, (_, i) => nameOf(i)) : undefined;
const draws = Array.from({ length: DRAWS }, () => {
  const i = random.below(names);
  return few?.[i] ?? nameOf(i);
});
await addFor(draws, warmUpMs);
const cpuBefore = process.cpuUsage();
const since = performance.now();
const operations = await addFor(draws, durationMs);
const seconds = (performance.now() - since) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
await tally.close();
const result: EmbeddedResult = { added, rate: operations / seconds, cpu: (user + system) / 1e6 / seconds };
process.stdout.write(`result ${JSON.stringify(result)}\n`);
