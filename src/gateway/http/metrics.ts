/**
 * What Prometheus scrapes, as a table: a row says a metric's name, meaning and how to read it. Nothing is kept or
 * counted for it: a scrape reads the service's own numbers into a new registry. So counting is independent of scrapes,
 * and an obsolete label (a replica's former id) disappears from the next answer. No metric has a counter's name as a
 * label: a series for each of millions of names would overload any Prometheus.
 */
import { performance } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import type { ServiceInfo, ServiceState, StoreInfo } from '../../counter/service.ts';

/** What a scrape reads. */
export interface Facts {
  readonly version: string;
  readonly info: ServiceInfo;
  readonly nowMs: number;
  /** How late the event loop was at this scrape. */
  readonly loopDelayMs: number;
  /** Open connections, by door. */
  readonly connections: Readonly<Record<string, number>>;
}

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Metric {
  /** A counter's name ends with `_total`. */
  readonly name: string;
  readonly help: string;
  /** Undefined: no value now, so the metric is omitted. */
  readonly read: (facts: Facts) => number | readonly Sample[] | undefined;
}

const STATES: readonly ServiceState[] = ['open', 'failing', 'closing', 'closed'];

function ofService(name: string, help: string, read: (info: ServiceInfo) => number): Metric {
  return { name: `tallyd_${name}`, help, read: ({ info }) => read(info) };
}

function ofStore(name: string, help: string, read: (store: StoreInfo) => number): Metric {
  return { name: `tallyd_store_${name}`, help, read: ({ info }) => info.store && read(info.store) };
}

const SERVICE: readonly Metric[] = [
  {
    name: 'tallyd_info',
    help: 'Always 1; the labels say which version runs, and when it answers updates.',
    read: ({ version, info }) => [{ labels: { version, durability: info.durability }, value: 1 }],
  },
  {
    name: 'tallyd_state',
    help: '1 for the state that the server is in, 0 for the others.',
    read: ({ info }) => STATES.map((state) => ({ labels: { state }, value: Number(info.state === state) })),
  },
  ofService('failing', '1 while updates are refused because the journal cannot be written.', ({ state }) =>
    Number(state === 'failing'),
  ),
  ofService('counters', 'Counters that there are.', ({ counters }) => counters),
  ofService('commands_total', 'Commands taken since the start.', ({ commands }) => commands),
  ofService('groups_total', 'Groups of updates written to the journal since the start.', ({ groups }) => groups),
  ofService('groups_not_durable', 'Groups of updates that are not durable yet.', (info) =>
    Number(info.sequence - info.durableSequence),
  ),
  ofService('syncs_total', 'Syncs of the journal since the start.', ({ syncs }) => syncs),
  ofService('journal_bytes', 'Journal written since the last snapshot.', ({ journalBytes }) => journalBytes),
  ofService('table_bytes', 'Memory of the table of counters.', ({ tableBytes }) => tableBytes),
  ofService('idempotency_records', 'Idempotency keys that are remembered.', (info) => info.idempotencyRecords),
  ofService('idempotency_bytes', 'Memory for the idempotency keys.', ({ idempotencyBytes }) => idempotencyBytes),
  {
    name: 'tallyd_connections',
    help: 'Open client connections, by door.',
    read: ({ connections }) => Object.entries(connections).map(([door, value]) => ({ labels: { door }, value })),
  },
];

const STORE: readonly Metric[] = [
  {
    name: 'tallyd_store_info',
    help: 'Always 1; the labels say which replica this is, and whether the store takes nothing back.',
    read: ({ info: { store } }) =>
      store && [{ labels: { replica: store.replica, durable: String(store.isDurable) }, value: 1 }],
  },
  ofStore('answering', 'Whether the store answered lately: 0 or 1.', ({ isAnswering }) => Number(isAnswering)),
  {
    name: 'tallyd_store_staleness_seconds',
    help: 'Age of what is known of the other nodes; absent until something is known.',
    read: ({ nowMs, info: { store } }) =>
      store === undefined || store.asOfMs === 0 ? undefined : Math.max(0, nowMs - store.asOfMs) / 1000,
  },
  ofStore('held_counters', 'Shared counters in memory.', ({ held }) => held),
  ofStore('held_bytes', 'Memory of the shared counters, an estimate.', ({ heldBytes }) => heldBytes),
  ofStore('backlog_slots', 'Slots that the store has yet to confirm.', ({ backlog }) => backlog),
  ofStore('calls_total', 'Calls that brought slots to the store.', ({ calls }) => calls),
  ofStore('slots_sent_total', 'Slots brought to the store.', ({ slotsSent }) => slotsSent),
  ofStore('loads_total', 'Counters read from the store.', ({ loads }) => loads),
  ofStore('damaged_total', 'How often the store said what cannot be so: damaged records.', ({ damaged }) => damaged),
  ofStore('went_back_total', 'How often the store lost what it had confirmed.', ({ wentBack }) => wentBack),
  ofStore('evictions_total', 'Counters that left memory for the store.', ({ evicted }) => evicted),
  ofStore('hits_total', 'Commands that found their shared counter in memory.', ({ hits }) => hits),
  ofStore('misses_total', 'Commands whose shared counter had to be read from the store.', ({ misses }) => misses),
];

const PROCESS: readonly Metric[] = [
  {
    name: 'tallyd_event_loop_delay_seconds',
    help: 'How late the event loop was at this scrape.',
    read: ({ loopDelayMs }) => loopDelayMs / 1000,
  },
  {
    name: 'tallyd_event_loop_active_seconds_total',
    help: 'Time that the event loop was busy; its rate is the load of the one thread that counts, 1 at most.',
    read: () => performance.eventLoopUtilization().active / 1000,
  },
  {
    name: 'process_cpu_seconds_total',
    help: 'Processor time of all threads, user and system.',
    read: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  },
  {
    name: 'process_resident_memory_bytes',
    help: 'Memory of the process.',
    read: () => process.memoryUsage.rss(),
  },
  {
    name: 'process_start_time_seconds',
    help: 'When the process started, Unix time.',
    read: () => performance.timeOrigin / 1000,
  },
];

export const METRICS: readonly Metric[] = [...SERVICE, ...STORE, ...PROCESS];

export const EXPOSITION_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Everything in Prometheus' text format. */
export async function exposition(facts: Facts): Promise<string> {
  const registry = new Registry();
  for (const { name, help, read } of METRICS) {
    const found = read(facts);
    const samples = typeof found === 'number' ? [{ labels: {}, value: found }] : (found ?? []);
    if (samples.length === 0) continue;
    const options = { name, help, labelNames: Object.keys(samples[0].labels), registers: [registry] };
    if (name.endsWith('_total')) {
      const counter = new Counter(options);
      for (const { labels, value } of samples) counter.inc(labels, value);
    } else {
      const gauge = new Gauge(options);
      for (const { labels, value } of samples) gauge.set(labels, value);
    }
  }
  return await registry.metrics();
}
