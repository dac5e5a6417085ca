/**
 * How long it takes until what one node has counted is in what every other node shows, at so many changed counters a
 * second.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RegionNode } from '../../test/chaos/region-node.ts';
import { frame, RespConnection } from '../../test/wire/counting-clients.ts';
import {
  type Bench,
  backlogOf,
  type Figure,
  inShort,
  type Line,
  type Opener,
  percentile,
  withRegion,
} from './figures.ts';
import { manyNames, PacedLoad, warm } from './paced-load.ts';
import { type MeasuredStore, openPostgres, openRedis } from './stores.ts';

const NODES = 3;
const COUNTERS = 40_000;
const RATES = [0, 5_000, 10_000, 20_000, 40_000, 80_000];
const SETTLE_MS = 3_000;
const PROBES = 400;
const PROBE = 'probe';
const LOOK_MS = 2;
const PROBING_MS_MAX = 45_000;
const PROBE_MS_MAX = 20_000;
/** Beyond one of these it does not keep up. */
const SHARE_LEAST = 0.9;
const PROBE_MS_BROKEN = 5_000;

export const convergence: Figure = {
  name: 'convergence',
  title: 'Node to node',
  about: `${NODES} nodes; on each a part of the load: different counters of ${COUNTERS.toLocaleString('en')} changed so often a second, round and round. A probe is one INCRBY on one node; the time is from its reply until GET on both other nodes contains it, looked at every ${LOOK_MS} ms (which adds to it). The series ends with the first rate that is not kept: answered below ${SHARE_LEAST * 100} % of what was wanted, or a p50 of several seconds.`,
  measure: async (bench) => [...(await curve(openPostgres, bench)), ...(await curve(openRedis, bench))],
};

function curve<Store extends MeasuredStore>(open: Opener<Store>, bench: Bench): Promise<Line[]> {
  return withRegion(open, NODES, async (nodes, store) => {
    const names = manyNames(bench.isQuick ? COUNTERS / 10 : COUNTERS);
    await warm(nodes, [...names, PROBE]);
    const lines: Line[] = [];
    for (const rate of bench.isQuick ? RATES.slice(0, 2) : RATES) {
      const { line, isKept } = await atRate(nodes, rate, names, bench.isQuick ? 20 : PROBES);
      lines.push({ store: store.kind, ...line });
      bench.progress(inShort(store.kind, line));
      if (!isKept) break;
    }
    return lines;
  });
}

async function atRate(
  nodes: readonly RegionNode[],
  rate: number,
  names: readonly string[],
  probes: number,
): Promise<{ line: Line; isKept: boolean }> {
  const load = await PacedLoad.start(nodes, rate, names);
  await sleep(SETTLE_MS);
  const [from, sinceMs] = [load.answered, performance.now()];
  const times: number[] = [];
  const endMs = sinceMs + PROBING_MS_MAX;
  const prober = await Prober.open(nodes);
  for (let i = 0; i < probes && performance.now() < endMs; i++) times.push(await prober.probe(i % nodes.length));
  prober.close();
  const reached = ((load.answered - from) / (performance.now() - sinceMs)) * 1000;
  const backlog = await backlogOf(nodes);
  await load.stop();
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
  const line = {
    'changed counters/s wanted': rate,
    reached: Math.round(reached),
    'p50 ms': Math.round(p50),
    'p99 ms': Math.round(p99),
    probes: times.length,
    'slots waiting at the end': backlog,
  };
  return { line, isKept: reached >= rate * SHARE_LEAST && p50 < PROBE_MS_BROKEN };
}

/** Asks all nodes about one counter, which exists on all of them. */
class Prober {
  readonly #connections: readonly RespConnection[];

  private constructor(connections: readonly RespConnection[]) {
    this.#connections = connections;
  }

  static async open(nodes: readonly RegionNode[]): Promise<Prober> {
    const connections = await Promise.all(nodes.map((node) => RespConnection.open(node.server.resp)));
    return new Prober(connections.map((connection) => required(connection)));
  }

  /** @returns ms from the reply to an update on one node until all others show it */
  async probe(at: number): Promise<number> {
    const own = this.#connections[at] as RespConnection;
    own.send(frame('INCR', PROBE));
    const value = Number(required(await own.lines(1)).slice(1));
    const sinceMs = performance.now();
    await Promise.all(this.#connections.map((connection) => shows(connection, value)));
    return performance.now() - sinceMs;
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

async function shows(connection: RespConnection, value: number): Promise<void> {
  const endMs = performance.now() + PROBE_MS_MAX;
  while (performance.now() < endMs) {
    connection.send(frame('GET', PROBE));
    const [, digits] = required(await connection.lines(2)).split('\r\n');
    if (Number(digits) >= value) return;
    await sleep(LOOK_MS);
  }
}

function required<T>(given: T | undefined): T {
  if (given === undefined) throw new Error('a node has ended a connection');
  return given;
}
