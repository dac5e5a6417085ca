/** What the store is asked for a million increments: counted, not timed, so that it is the same on every machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RegionNode } from '../../test/chaos/region-node.ts';
import { type Bench, backlogOf, type Figure, inShort, type Line, type Opener, withRegion } from './figures.ts';
import { manyNames, warm } from './paced-load.ts';
import { increment, RespLine } from './resp-line.ts';
import { type MeasuredStore, openPostgres, openRedis } from './stores.ts';

const INCREMENTS = 1_000_000;
const NODES = [1, 2, 4, 8];
const MANY = 100_000;
const PIPELINE = 500;
/** Nodes that are not in step with each other. */
const STRIDE = 7_919;

export const traffic: Figure = {
  name: 'traffic',
  title: 'What a million increments ask of the store',
  about: `${INCREMENTS.toLocaleString('en')} increments, shared out over the nodes, which send ${PIPELINE} at a time and are as fast as the machine lets them; on one counter, and on ${MANY.toLocaleString('en')} in turn. Counted from the first increment until everything is confirmed: calls that bring slots (the goal is below 1000 for the hot counter), slots in them, all calls of the nodes with their polls (every 20 ms each, so these grow with the seconds it took; to a cluster a poll is a script for each of its 64 buckets that has moved; what asks the quiet ones whether they have is not counted), and bytes in both directions.`,
  measure: async (bench) => {
    const lines: Line[] = [];
    for (const open of [openPostgres, openRedis] as Opener<MeasuredStore>[]) {
      for (const count of bench.isQuick ? NODES.slice(0, 2) : NODES) {
        lines.push(...(await withRegion(open, count, (nodes, store) => measure(nodes, store, bench))));
      }
    }
    return lines;
  },
};

async function measure(nodes: readonly RegionNode[], store: MeasuredStore, bench: Bench): Promise<Line[]> {
  const lines: Line[] = [];
  for (const names of [['hot'], manyNames(bench.isQuick ? MANY / 10 : MANY)]) {
    await warm(nodes, names);
    await confirmed(nodes);
    const before = await asked(nodes, store);
    const sinceMs = performance.now();
    const increments = bench.isQuick ? INCREMENTS / 10 : INCREMENTS;
    await Promise.all(nodes.map((node, i) => count(node, i, names, increments / nodes.length)));
    await confirmed(nodes);
    const seconds = (performance.now() - sinceMs) / 1000;
    const after = await asked(nodes, store);
    const line = {
      nodes: nodes.length,
      counters: names.length,
      'calls with slots': after.writes - before.writes,
      slots: after.slots - before.slots,
      'all calls': after.calls - before.calls,
      MB: Number(((after.bytes - before.bytes) / 1e6).toFixed(1)),
      seconds: Number(seconds.toFixed(1)),
    };
    lines.push({ store: store.kind, ...line });
    bench.progress(inShort(store.kind, line));
  }
  return lines;
}

async function asked(nodes: readonly RegionNode[], store: MeasuredStore) {
  const states = await Promise.all(nodes.map((node) => node.storeState()));
  const sum = (part: 'calls' | 'slotsSent'): number => states.reduce((total, state) => total + state[part], 0);
  return { ...(await store.traffic()), writes: sum('calls'), slots: sum('slotsSent') };
}

async function count(node: RegionNode, at: number, names: readonly string[], increments: number): Promise<void> {
  const line = await RespLine.open(node.server.resp);
  for (let sent = 0; sent < increments; sent += PIPELINE) {
    let text = '';
    for (let i = sent; i < sent + PIPELINE; i++) text += increment(names[(i + at * STRIDE) % names.length] as string);
    line.send(text, PIPELINE);
    await line.settled(PIPELINE);
  }
  await line.settled();
  if (line.errors > 0 || line.isOver) throw new Error(`${line.errors} increments were refused`);
  line.close();
}

async function confirmed(nodes: readonly RegionNode[]): Promise<void> {
  while ((await backlogOf(nodes)) > 0) await sleep(20);
}
