/**
 * How long a region takes to be whole again: after the store was away, after a node was killed, after everything was.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RegionNode } from '../../test/chaos/region-node.ts';
import { frame, RespConnection } from '../../test/wire/counting-clients.ts';
import { type Bench, backlogOf, type Figure, inShort, type Line, withRegion } from './figures.ts';
import { manyNames, PacedLoad, warm } from './paced-load.ts';
import { type CrashableStore, type MeasuredStore, openPostgres, openRedis, type ReplicatedStore } from './stores.ts';

const NODES = 3;
const COUNTERS = 20_000;
const RATE = 5_000;
const AWAY_MS = 30_000;
const LOOK_MS = 5;

/** How often the counter `mark` was counted. */
interface Marks {
  count: bigint;
}

export const recovery: Figure = {
  name: 'recovery',
  title: 'Whole again',
  about: `${NODES} nodes, ${COUNTERS.toLocaleString('en')} counters of which ${RATE.toLocaleString('en')} a second change. After a heal: the store hangs for ${AWAY_MS / 1000} s (nodes go on counting: the refused column says how many updates they refused), then answers again, while the load goes on; until every node shows what every node had counted by then. A killed node: SIGKILL, then its start; until its ready line, until it answers a read of a counter with what it had acknowledged, and until all nodes do (what it had counted in its last 20 ms waits for its lease to end, some 15 s). Everything at once: the store and all nodes are killed and started again; until all are ready, and until all show everything. A primary: one of the three of the cluster, killed under load, whose replica takes its place after a second without it; until every node shows what every node has counted just after. Starts are of processes, a second or so of which is Node.js itself.`,
  measure: async (bench) => [
    ...(await withRegion(openPostgres, NODES, (nodes, store) =>
      all(nodes, store, bench, {
        event: 'everything was killed',
        measure: (marks) => afterCrash(nodes, marks, store),
      }),
    )),
    ...(await withRegion(openRedis, NODES, (nodes, store) =>
      all(nodes, store, bench, {
        event: 'a primary was killed',
        measure: (marks, names) => afterFailover(nodes, marks, store, names),
      }),
    )),
  ],
};

/** What a store leaves only once. */
interface Finale {
  readonly event: string;
  readonly measure: (marks: Marks, names: readonly string[]) => Promise<Line>;
}

async function all(nodes: readonly RegionNode[], store: MeasuredStore, bench: Bench, finale: Finale): Promise<Line[]> {
  const names = manyNames(bench.isQuick ? COUNTERS / 10 : COUNTERS);
  await warm(nodes, [...names, 'mark']);
  const marks = { count: 0n };
  const lines: Line[] = [];
  const tell = (what: string, line: Line): void => {
    lines.push({ store: store.kind, event: what, ...line });
    bench.progress(`${what}: ${inShort(store.kind, line)}`);
  };
  tell('the store hung', await afterHeal(nodes, marks, store, names, bench.isQuick ? 3_000 : AWAY_MS));
  tell('a node was killed', await afterKill(nodes, marks));
  tell(finale.event, await finale.measure(marks, names));
  return lines;
}

async function afterHeal(
  nodes: readonly RegionNode[],
  marks: Marks,
  store: MeasuredStore,
  names: readonly string[],
  awayMs: number,
): Promise<Line> {
  const load = await PacedLoad.start(nodes, RATE, names);
  await sleep(1_000);
  store.pause();
  const from = load.answered;
  await sleep(awayMs);
  const counted = load.answered - from;
  const waiting = await backlogOf(nodes);
  const mark = await markOn(nodes, marks);
  store.resume();
  const tookMs = await timeUntil(() => show(nodes, mark));
  await load.stop();
  return {
    'counted meanwhile': counted,
    refused: load.errors,
    'slots waiting': waiting,
    'until all show it, s': seconds(tookMs),
  };
}

async function afterKill(nodes: readonly RegionNode[], marks: Marks): Promise<Line> {
  const [node] = nodes as [RegionNode];
  const mark = await markOn(nodes, marks);
  await node.kill();
  const sinceMs = performance.now();
  await node.start();
  const readyMs = performance.now() - sinceMs;
  await timeUntil(() => show([node], mark));
  const showsMs = performance.now() - sinceMs;
  await timeUntil(() => show(nodes, mark));
  return {
    'ready, s': seconds(readyMs),
    'until it shows it, s': seconds(showsMs),
    'until all show it, s': seconds(performance.now() - sinceMs),
  };
}

async function afterCrash(nodes: readonly RegionNode[], marks: Marks, store: CrashableStore): Promise<Line> {
  const mark = await markOn(nodes, marks);
  await Promise.all([store.crash(), ...nodes.map((node) => node.kill())]);
  const sinceMs = performance.now();
  await Promise.all([store.startAgain(), ...nodes.map((node) => node.start())]);
  const readyMs = performance.now() - sinceMs;
  await timeUntil(() => show(nodes, mark));
  return { 'ready, s': seconds(readyMs), 'until all show it, s': seconds(performance.now() - sinceMs) };
}

async function afterFailover(
  nodes: readonly RegionNode[],
  marks: Marks,
  store: ReplicatedStore,
  names: readonly string[],
): Promise<Line> {
  // A node that was started again has yet to learn what the others have counted, and refuses what it does not know.
  await warm(nodes, names);
  const load = await PacedLoad.start(nodes, RATE, names);
  await sleep(1_000);
  const from = load.answered;
  await store.killPrimaryOf('mark');
  const sinceMs = performance.now();
  const mark = await markOn(nodes, marks);
  await timeUntil(() => show(nodes, mark));
  const tookMs = performance.now() - sinceMs;
  const counted = load.answered - from;
  await load.stop();
  return { 'counted meanwhile': counted, refused: load.errors, 'until all show it, s': seconds(tookMs) };
}

/** Counts once more on every node. @returns what all of them have to show in the end */
async function markOn(nodes: readonly RegionNode[], marks: Marks): Promise<bigint> {
  for (const node of nodes) {
    const connection = await RespConnection.open(node.server.resp);
    connection?.send(frame('INCR', 'mark'));
    if (!/^:/.test((await connection?.lines(1)) ?? '')) throw new Error('the mark was refused');
    connection?.close();
    marks.count += 1n;
  }
  return marks.count;
}

async function show(nodes: readonly RegionNode[], mark: bigint): Promise<boolean> {
  const readings = await Promise.all(nodes.map((node) => node.read(['mark']).catch(() => [])));
  return readings.every(([reading]) => reading?.value === mark);
}

async function timeUntil(holds: () => Promise<boolean>): Promise<number> {
  const sinceMs = performance.now();
  while (!(await holds())) await sleep(LOOK_MS);
  return performance.now() - sinceMs;
}

function seconds(ms: number): number {
  return Number((ms / 1000).toFixed(2));
}
