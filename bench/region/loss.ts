/**
 * What a lost disk takes along with `--ack journal`: updates that the node had acknowledged and the store did not have
 * yet.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bench, type Figure, inShort, type Line, type Opener, withRegion } from './figures.ts';
import { manyNames, PacedLoad, warm } from './paced-load.ts';
import { type MeasuredStore, openPostgres, openRedis } from './stores.ts';

const COUNTERS = 5_000;
const RATES = [1_000, 5_000];
const ROUNDS = 3;
const READ_NAMES = 500;

export const loss: Figure = {
  name: 'loss',
  title: 'A lost disk with --ack journal',
  about: `Two nodes, load on one of them, which is killed at some moment, and its directory deleted, ${ROUNDS} times each. Lost: what it had acknowledged and the other node never shows; in milliseconds: how long it took to count so much. With \`--ack store\` nothing acknowledged is lost: a test shows it.`,
  measure: async (bench) => {
    const lines: Line[] = [];
    for (const open of [openPostgres, openRedis] as Opener<MeasuredStore>[]) {
      for (const rate of bench.isQuick ? RATES.slice(0, 1) : RATES) lines.push(await atRate(open, rate, bench));
    }
    return lines;
  },
};

async function atRate(open: Opener<MeasuredStore>, rate: number, bench: Bench): Promise<Line> {
  const names = manyNames(COUNTERS);
  const rounds = bench.isQuick ? 1 : ROUNDS;
  return withRegion(open, 2, async ([victim, witness], store) => {
    if (victim === undefined || witness === undefined) throw new Error('two nodes');
    const lost: number[] = [];
    await warm([witness], names);
    for (let round = 0; round < rounds; round++) {
      await warm([victim], names);
      const before = await settledSum(witness, names);
      const load = await PacedLoad.start([victim], rate, names);
      await sleep(2_000 + Math.random() * 200);
      await victim.kill();
      await load.stop();
      await victim.loseDisk();
      lost.push(load.answered - ((await settledSum(witness, names)) - before));
      await victim.start();
    }
    // What reached the store without its answer reaching the node counts as a gain.
    const most = Math.max(0, ...lost);
    const mean = lost.reduce((sum, one) => sum + Math.max(0, one), 0) / rounds;
    const line = {
      'updates/s': rate,
      'lost, mean': Math.round(mean),
      'lost, most': most,
      'mean, ms': Math.round((mean / rate) * 1000),
      'most, ms': Math.round((most / rate) * 1000),
    };
    bench.progress(inShort(store.kind, line));
    return { store: store.kind, ...line };
  });

  /** When it has not changed for a while. */
  async function settledSum(node: Parameters<typeof sumOf>[0], counters: readonly string[]): Promise<number> {
    for (let before = Number.NaN; ; ) {
      const sum = await sumOf(node, counters);
      if (sum === before) return sum;
      before = sum;
      await sleep(1_000);
    }
  }
}

async function sumOf(
  node: { values(names: readonly string[]): Promise<Map<string, bigint>> },
  names: readonly string[],
): Promise<number> {
  let sum = 0n;
  for (let from = 0; from < names.length; from += READ_NAMES) {
    for (const value of (await node.values(names.slice(from, from + READ_NAMES))).values()) sum += value;
  }
  return Number(sum);
}
