/**
 * The table, as data: what is measured, on which servers, and what Tallyd wants to reach. A further row is a further
 * entry here; a new kind of work gets its file in `work/`.
 */
import type { Contender, CounterKind, Goal, Load, Metric, Row } from './row.ts';
import type { SetupName } from './servers/server.ts';
import { CONNECTIONS } from './targets.ts';

const BATCH_ENTRIES = 1_000;
const BATCH_CONNECTIONS = 8;
const MGET_NAMES = 10;

const ratio = (metric: Metric, target: number, stretch?: number): Goal =>
  stretch === undefined ? { metric, of: 'ratio', target } : { metric, of: 'ratio', target, stretch };
const value = (metric: Metric, target: number): Goal => ({ metric, of: 'value', target });
const shown = (metric: Metric, of: Goal['of'] = 'ratio'): Goal => ({ metric, of });

function asked(setup: SetupName, load: Load, label: string): Contender {
  return { label, work: { kind: 'closed', setup, load } };
}

/** A load on Redis and on Tallyd. */
function against(redis: SetupName, tallyd: SetupName, load: Load): Contender[] {
  return [asked(redis, load, 'redis'), asked(tallyd, load, 'tallyd')];
}

function increments(pipeline: number): Load {
  return { kind: 'increment', pipeline, connections: CONNECTIONS };
}

function incrementRows(
  name: string,
  title: string,
  setups: readonly [SetupName, SetupName],
  goals: Readonly<Record<number, readonly Goal[]>>,
): Row[] {
  return Object.entries(goals).map(([pipeline, list]) => ({
    name: `${name}-p${pipeline}`,
    title: `${title}, pipeline ${pipeline}`,
    contenders: against(...setups, increments(Number(pipeline))),
    goals: list,
  }));
}

const INCREMENTS: readonly Row[] = [
  ...incrementRows('incr-off', 'INCR, no durability on either side', ['redis-off', 'tallyd-off'], {
    1: [ratio('rate', 0.85, 1)],
    16: [ratio('rate', 1.8)],
    128: [ratio('rate', 3.2)],
    512: [ratio('rate', 3.5)],
  }),
  ...[1, 16].map((pipeline) => ({
    name: `witness-p${pipeline}`,
    title: `the same by redis-benchmark, pipeline ${pipeline}`,
    contenders: (['redis', 'tallyd'] as const).map((server) => ({
      label: server,
      work: { kind: 'redis-benchmark' as const, setup: `${server}-off` as const, pipeline },
    })),
    goals: [shown('rate')],
    roundsMax: 1,
  })),
];

const READS: readonly Row[] = [
  {
    name: 'get-p128',
    title: 'GET, pipeline 128',
    contenders: against('redis-off', 'tallyd-off', { kind: 'get', pipeline: 128, connections: CONNECTIONS }),
    goals: [ratio('rate', 3)],
  },
  {
    name: 'mget-p128',
    title: `MGET of ${MGET_NAMES} names, pipeline 128`,
    contenders: against('redis-off', 'tallyd-off', {
      kind: 'multi-get',
      pipeline: 128,
      connections: CONNECTIONS,
      namesEach: MGET_NAMES,
      operationsEach: MGET_NAMES,
    }),
    goals: [ratio('rate', 3)],
  },
  {
    name: 'mixed-off-p128',
    title: '10 GET : 1 INCR, no durability on either side, pipeline 128',
    contenders: against('redis-off', 'tallyd-off', { kind: 'mixed', pipeline: 128, connections: CONNECTIONS }),
    goals: [ratio('rate', 3)],
  },
];

const DURABLE: readonly Row[] = [
  ...incrementRows(
    'incr-always',
    'INCR answered after fdatasync, against appendfsync always',
    ['redis-always', 'tallyd-always'],
    {
      1: [ratio('rate', 0.9, 1)],
      16: [ratio('rate', 2)],
      128: [ratio('rate', 3.5, 4), ratio('latencyP99', 0.45)],
      512: [ratio('rate', 5)],
    },
  ),
  {
    name: 'mixed-always-p128',
    title: '10 GET : 1 INCR answered after fdatasync, pipeline 128',
    contenders: against('redis-always', 'tallyd-always', { kind: 'mixed', pipeline: 128, connections: CONNECTIONS }),
    goals: [ratio('rate', 3)],
  },
  ...incrementRows(
    'incr-durable-against-off',
    'INCR answered after fdatasync, against Redis without any persistence',
    ['redis-off', 'tallyd-always'],
    { 128: [ratio('rate', 1.2)], 512: [ratio('rate', 2)] },
  ),
  {
    name: 'latency-always',
    title: "INCR at half of the maximum rate, pipeline 1, durability always, against the disk's own fdatasync",
    contenders: [
      { label: 'fdatasync', work: { kind: 'disk' } },
      { label: 'tallyd', work: { kind: 'paced', setup: 'tallyd-always' } },
    ],
    goals: [ratio('latencyP99', 2), shown('latencyP50'), shown('latencyP999')],
  },
  {
    name: 'latency-interval',
    title: 'INCR at half of the maximum rate, pipeline 1, durability interval',
    contenders: [{ label: 'tallyd', work: { kind: 'paced', setup: 'tallyd-interval' } }],
    goals: [value('latencyP99', 1), shown('latencyP50', 'value'), shown('latencyP999', 'value')],
  },
];

const HTTP: readonly Row[] = [
  {
    name: 'http-increment',
    title: 'HTTP single increment, keep-alive, durable, against an empty Fastify route',
    contenders: (['empty-route', 'tallyd-always'] as const).map((setup) =>
      asked(
        setup,
        { kind: 'http-increment', pipeline: 1, connections: CONNECTIONS },
        setup === 'empty-route' ? 'fastify' : 'tallyd',
      ),
    ),
    goals: [ratio('rate', 0.9), shown('latencyP99')],
  },
  ...(['json', 'ndjson'] as const).map((format) => ({
    name: `http-batch-${format}`,
    title: `increments in HTTP batches of ${BATCH_ENTRIES}, durable, as ${format.toUpperCase()}`,
    contenders: [
      asked(
        'tallyd-always',
        {
          kind: `http-batch-${format}`,
          pipeline: 1,
          connections: BATCH_CONNECTIONS,
          namesEach: BATCH_ENTRIES,
          operationsEach: BATCH_ENTRIES,
        },
        'tallyd',
      ),
    ],
    goals: [value('rate', format === 'json' ? 900_000 : 1_200_000)],
  })),
];

const REST: readonly Row[] = [
  {
    name: 'embedded-hot',
    title: 'in process, durable, 1 000 hot names',
    contenders: [{ label: 'open()', work: { kind: 'embedded', names: 1_000 } }],
    goals: [value('rate', 10_000_000)],
  },
  {
    name: 'embedded-random',
    title: 'in process, durable, 10 M random names',
    contenders: [{ label: 'open()', work: { kind: 'embedded', names: 10_000_000 } }],
    goals: [value('rate', 2_000_000)],
    roundsMax: 1,
  },
  {
    name: 'lifecycle-10m',
    title: '10 M counters after adds of both signs and sets',
    contenders: (['redis', 'tallyd'] as const).map((server) => ({
      label: server,
      work: { kind: 'lifecycle' as const, server, names: 10_000_000 },
    })),
    goals: [
      ratio('bytesPerCounter', 0.5),
      ratio('restartCleanSeconds', 0.15),
      ratio('restartKilledSeconds', 0.4),
      shown('loadSeconds'),
    ],
    roundsMax: 1,
  },
];

const COUNTER_KINDS: readonly (CounterKind & { readonly name: string; readonly title: string })[] = [
  ...[8, 16, 32, 64, 128].map((nameBytes) => ({
    name: `name-${nameBytes}`,
    title: `names of ${nameBytes} bytes`,
    nameBytes,
    expires: false,
  })),
  { name: 'deadline', title: 'names of 16 bytes, with a deadline', nameBytes: 16, expires: true },
];

const LARGE: readonly Row[] = [
  ...COUNTER_KINDS.map(({ name, title, ...counter }) => ({
    name: `memory-${name}`,
    title: `what one more counter takes: ${title}`,
    contenders: (['redis', 'tallyd'] as const).map((server) => ({
      label: server,
      work: { kind: 'memory' as const, server, counter, names: 2_000_000 },
    })),
    goals: [shown('bytesPerCounter')],
    roundsMax: 1,
    isLarge: true as const,
  })),
  {
    name: 'growth-100m',
    title: '100 M counters in one process',
    contenders: [{ label: 'tallyd', work: { kind: 'growth', names: 100_000_000 } }],
    goals: [
      value('bytesPerCounter', 50),
      value('rateOfSmall', 0.6),
      value('restartCleanSeconds', 30),
      value('pauseGrowing', 5),
      value('pauseSnapshot', 5),
      shown('loadSeconds', 'value'),
    ],
    roundsMax: 1,
    isLarge: true,
  },
  {
    name: 'steady-30min',
    title: '30 minutes of steady load',
    contenders: [{ label: 'tallyd', work: { kind: 'steady', minutes: 30 } }],
    // 2 % an hour is what the measurement cannot tell from nothing.
    goals: [value('memoryGrowth', 0.02), shown('rate', 'value')],
    roundsMax: 1,
    isLarge: true,
  },
];

export const ROWS: readonly Row[] = [...INCREMENTS, ...READS, ...DURABLE, ...HTTP, ...REST, ...LARGE];
