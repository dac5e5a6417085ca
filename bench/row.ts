/**
 * What a row of the benchmark is: data. `rows.ts` has them all, `work/` what they are made of, `runner.ts` runs them.
 */
import type { TapeSpec } from './load/stream.ts';
import type { SetupName } from './servers/server.ts';

export interface Row {
  /** Stable; `--rows` selects by it. */
  readonly name: string;
  readonly title: string;
  /** Who is measured, in the order of every round. The last one is the subject, the first what it is compared with. */
  readonly contenders: readonly Contender[];
  readonly goals: readonly Goal[];
  /** For what takes long and spreads little: not more rounds than this. */
  readonly roundsMax?: number;
  /** Only with `--large`. */
  readonly isLarge?: true;
}

export interface Contender {
  /** As tables and plots call it. */
  readonly label: string;
  readonly work: Work;
}

export type Work =
  /** As fast as the server answers. */
  | { readonly kind: 'closed'; readonly setup: SetupName; readonly load: Load }
  /** INCR, pipeline 1, at half the rate that the server reaches when it is asked as fast as it answers. */
  | { readonly kind: 'paced'; readonly setup: SetupName }
  /** redis-benchmark, as a witness that our own load generator does not favour anybody. */
  | { readonly kind: 'redis-benchmark'; readonly setup: SetupName; readonly pipeline: number }
  /** The disk alone: append and fdatasync. */
  | { readonly kind: 'disk' }
  /** `open()` in a process of its own. */
  | { readonly kind: 'embedded'; readonly names: number }
  /** Memory and restarts with many counters. */
  | { readonly kind: 'lifecycle'; readonly server: 'redis' | 'tallyd'; readonly names: number }
  /** What one more counter takes. */
  | {
      readonly kind: 'memory';
      readonly server: 'redis' | 'tallyd';
      readonly counter: CounterKind;
      readonly names: number;
    }
  /** One process from nothing to `names` counters, with a probe that looks for pauses. */
  | { readonly kind: 'growth'; readonly names: number }
  /** A steady load, looking at the memory. */
  | { readonly kind: 'steady'; readonly minutes: number };

export interface CounterKind {
  readonly nameBytes: number;
  readonly expires: boolean;
}

export interface Load {
  readonly kind: TapeSpec['kind'];
  readonly pipeline: number;
  readonly connections: number;
  /** Names in one command, where it takes several. */
  readonly namesEach?: number;
  /** Counts towards the rate per command; 1 without it. */
  readonly operationsEach?: number;
}

/** What a sample can hold, with its unit and how it is read. */
export const METRICS = {
  rate: { title: 'rate', unit: '/s', better: 'more' },
  latencyP50: { title: 'p50', unit: 'ms', better: 'less' },
  latencyP99: { title: 'p99', unit: 'ms', better: 'less' },
  latencyP999: { title: 'p99.9', unit: 'ms', better: 'less' },
  latencyMax: { title: 'longest', unit: 'ms', better: 'less' },
  serverCpu: { title: 'server CPU', unit: 'cores', better: 'less' },
  generatorCpu: { title: 'generator CPU', unit: 'cores', better: 'less' },
  othersCpu: { title: 'CPU of other processes', unit: 'cores', better: 'less' },
  ratePerServerCpu: { title: 'rate per server CPU second', unit: '/s', better: 'more' },
  pacedRate: { title: 'given rate', unit: '/s', better: 'more' },
  sentLate: { title: 'sent late', unit: 'share', better: 'less' },
  bytesPerCounter: { title: 'resident bytes per counter', unit: 'B', better: 'less' },
  restartCleanSeconds: { title: 'clean restart', unit: 's', better: 'less' },
  restartKilledSeconds: { title: 'restart after SIGKILL', unit: 's', better: 'less' },
  journalMebibytes: { title: 'journal at SIGKILL', unit: 'MiB', better: 'less' },
  loadSeconds: { title: 'loading', unit: 's', better: 'less' },
  pauseGrowing: { title: 'p99.99 while growing, above idle', unit: 'ms', better: 'less' },
  pauseSnapshot: { title: 'p99.99 during a snapshot, above idle', unit: 'ms', better: 'less' },
  rateOfSmall: { title: 'rate against 1 M names', unit: 'x', better: 'more' },
  memoryGrowth: { title: 'memory growth per hour', unit: 'share', better: 'less' },
} as const satisfies Record<string, { title: string; unit: string; better: 'more' | 'less' }>;
export type Metric = keyof typeof METRICS;

/** What one contender did in one round. */
export type Sample = Readonly<Partial<Record<Metric, number>>>;

/** One line of the report: a metric and what it must reach. */
export interface Goal {
  readonly metric: Metric;
  /** `ratio`: the subject's share of the other's; `value`: the subject's own. */
  readonly of: 'ratio' | 'value';
  /** Undefined: shown for information, without a goal. */
  readonly target?: number;
  readonly stretch?: number;
}
