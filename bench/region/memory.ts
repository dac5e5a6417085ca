/** A node whose memory holds a hundredth of what its store has: what its traffic costs, and that every sum is right. */
import { setTimeout as sleep } from 'node:timers/promises';
import { total } from '../../src/crdt/cut.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import type { RegionNode } from '../../test/chaos/region-node.ts';
import { CheckedClient } from './checked-client.ts';
import { type Bench, backlogOf, type Figure, inShort, type Line, percentile, withRegion } from './figures.ts';
import { filledName, filledValue, openFilled } from './filled-store.ts';

const CLIENTS = 4;
const PIPELINE = 500;
/** Of the commands; the others read. */
const UPDATES = 0.5;
/** Of the commands, in skewed traffic, are about the part of the counters that is hot. */
const HOT = 0.9;
const HOT_PART = 1 / 200;
const PROBE_PAUSE_MS = 20;
const PROBES_AFTER_START = 200;
const READ_NAMES = 1_000;

export interface Scale {
  readonly counters: number;
  /** For about a hundredth of them. */
  readonly memory: string;
  /** Of each kind of traffic. */
  readonly operations: number;
}

const FULL: Scale = { counters: 100_000_000, memory: '800MiB', operations: 2_000_000 };
const QUICK: Scale = { counters: 100_000, memory: '1MiB', operations: 40_000 };

export const memory: Figure = {
  name: 'memory',
  title: 'More counters than memory',
  about: `PostgreSQL holds ${FULL.counters.toLocaleString('en')} counters, one node runs with --memory ${FULL.memory}. ${FULL.operations.toLocaleString('en')} operations of each kind, half INCRBY, half GET, ${CLIENTS} connections with ${PIPELINE} commands in a pipeline each; skewed: ${HOT * 100} % of them on ${(FULL.counters * HOT_PART).toLocaleString('en')} counters, from an empty memory; uniform: on all alike. The hit rate is that of the metrics. A cold touch is one GET, on a connection of its own beside that load, of a counter that nobody has asked for. Every reply is checked, and in the end every touched counter in the store against what it was filled with and what was acknowledged. Then starts: until the ready line, and cold touches without any other load.`,
  measure: (bench) => {
    const scale = bench.isQuick ? QUICK : FULL;
    const open = (root: string) => openFilled(root, scale.counters);
    bench.progress(`filling the store with ${scale.counters} counters`);
    return withRegion(
      open,
      1,
      ([node], { url, bytes }) => {
        bench.progress(`filled: ${Math.round(bytes / 1e6)} MB`);
        return measure(node as RegionNode, url, scale, bench);
      },
      ['--memory', scale.memory],
    );
  },
};

export async function measure(node: RegionNode, url: string, scale: Scale, bench: Bench): Promise<Line[]> {
  const random = new SeededRandom(1);
  const hot = scale.counters * HOT_PART;
  const skewed = (): number => random.below(random.chance(HOT) ? hot : scale.counters);
  const uniform = (): number => random.below(scale.counters);
  const lines: Line[] = [];
  const tell = (what: string, line: Line): void => {
    lines.push({ what, ...line });
    bench.progress(`${what}: ${inShort('PostgreSQL', line)}`);
  };
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => CheckedClient.open(node)));
  tell('skewed', await drive(node, clients, skewed, scale, random));
  tell('uniform', await drive(node, clients, uniform, scale, random));
  for (const client of clients) client.close();
  while ((await backlogOf([node])) > 0) await sleep(100);
  tell('sums in the store', await verify(url, clients));
  await node.stop();
  tell('stopped, started', await afterStart(node, scale, random));
  await node.kill();
  tell('killed, started', await afterStart(node, scale, random));
  return lines;
}

async function drive(
  node: RegionNode,
  clients: readonly CheckedClient[],
  draw: () => number,
  { counters, operations }: Scale,
  random: SeededRandom,
): Promise<Line> {
  const before = await metricsOf(node);
  const refusedBefore = refusals(clients);
  const sinceMs = performance.now();
  let isOver = false;
  const probing = probe(node, counters, random, () => isOver);
  await Promise.all(
    clients.map(async (client, share) => {
      for (let sent = 0; sent < operations / clients.length; sent += PIPELINE) {
        const commands = Array.from({ length: PIPELINE }, () => ({
          counter: inShare(draw(), share),
          isUpdate: random.chance(UPDATES),
        }));
        await client.ask(commands);
      }
    }),
  );
  const seconds = (performance.now() - sinceMs) / 1000;
  isOver = true;
  const touches = await probing;
  const after = await metricsOf(node);
  const grown = (metric: string): number => metricOf(after, metric) - metricOf(before, metric);
  const [hits, misses] = [grown('tallyd_store_hits_total'), grown('tallyd_store_misses_total')];
  return {
    'operations/s': Math.round(operations / seconds),
    refused: refusals(clients) - refusedBefore,
    'hit rate, %': Number(((100 * hits) / (hits + misses)).toFixed(1)),
    ...quantiles(touches),
    held: metricOf(after, 'tallyd_store_held_counters'),
    evicted: grown('tallyd_store_evictions_total'),
    'resident MB': Math.round(metricOf(after, 'process_resident_memory_bytes') / 1e6),
  };
}

/** One cold counter after the other, until told to end. @returns how long each took, ms */
async function probe(
  node: RegionNode,
  counters: number,
  random: SeededRandom,
  isOver: (touched: number) => boolean,
): Promise<number[]> {
  const client = await CheckedClient.open(node);
  const times: number[] = [];
  while (!isOver(times.length)) {
    const sinceMs = performance.now();
    await client.ask([{ counter: inShare(random.below(counters), CLIENTS), isUpdate: false }]);
    times.push(performance.now() - sinceMs);
    await sleep(PROBE_PAUSE_MS);
  }
  client.close();
  return times;
}

async function afterStart(node: RegionNode, { counters }: Scale, random: SeededRandom): Promise<Line> {
  const sinceMs = performance.now();
  await node.start();
  const readySeconds = (performance.now() - sinceMs) / 1000;
  const touches = await probe(node, counters, random, (touched) => touched === PROBES_AFTER_START);
  return { 'ready, s': Number(readySeconds.toFixed(2)), ...quantiles(touches) };
}

/**
 * Every touched counter, in the store. @throws when a single one is not what it was filled with and what was
 * acknowledged
 */
async function verify(url: string, clients: readonly CheckedClient[]): Promise<Line> {
  // In the order of the table: neighbours share its pages.
  const touched = clients.flatMap((client) => [...client.touched]).sort(([a], [b]) => a - b);
  const store = await PostgresStore.open({ url });
  for (let from = 0; from < touched.length; from += READ_NAMES) {
    const page = touched.slice(from, from + READ_NAMES);
    const states = await store.read(page.map(([counter]) => filledName(counter)));
    for (const [i, { slots, cut }] of states.entries()) {
      const [counter, added] = page[i] as [number, number];
      const expected = BigInt(filledValue(counter) + added);
      const value = total(slots, cut);
      if (value !== expected) throw new Error(`${filledName(counter)} is ${value} in the store, not ${expected}`);
    }
  }
  await store.close();
  return { 'all exact': touched.length };
}

/**
 * Each client has counters of its own, and so has who looks for cold ones: nobody else changes what a reply has to be.
 */
function inShare(counter: number, share: number): number {
  return counter - (counter % (CLIENTS + 1)) + share;
}

function refusals(clients: readonly CheckedClient[]): number {
  return clients.reduce((sum, { refused }) => sum + refused, 0);
}

function quantiles(touches: readonly number[]): Line {
  const [p50, p99] = [percentile(touches, 0.5), percentile(touches, 0.99)];
  return { 'cold touch p50, ms': Number(p50.toFixed(1)), 'p99, ms': Number(p99.toFixed(1)) };
}

async function metricsOf(node: RegionNode): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return new Map([...text.matchAll(/^(\w+) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));
}

function metricOf(metrics: ReadonlyMap<string, number>, name: string): number {
  const value = metrics.get(name);
  if (value === undefined) throw new Error(`the node has no metric ${name}`);
  return value;
}
