/** The stores that regions are measured over: real servers on free ports of this machine, and what they were asked. */
import { type BucketKeys, Layout } from '../../src/store/redis/layout.ts';
import { PostgresProcess } from '../../test/wire/postgres-process.ts';
import { command, RedisCluster } from '../../test/wire/redis-cluster.ts';
import { CountingProxy, type Traffic } from './counting-proxy.ts';

export type StoreKind = 'PostgreSQL' | 'Redis Cluster';

/** For nodes to start on. */
export interface OpenStore {
  readonly url: string;
  resume(): void;
  close(): Promise<void>;
}

export interface MeasuredStore extends OpenStore {
  readonly kind: StoreKind;
  /** What all nodes together have asked of it since it was started. */
  traffic(): Promise<Traffic>;
  /** Answers nobody any more, and keeps all connections, until `resume`. */
  pause(): void;
}

export interface CrashableStore extends MeasuredStore {
  crash(): Promise<void>;
  startAgain(): Promise<void>;
}

export interface ReplicatedStore extends MeasuredStore {
  /** Kills the server that has the counter, and whose replica will take its place. */
  killPrimaryOf(counter: string): Promise<void>;
}

/** @param root an empty directory */
export async function openPostgres(root: string): Promise<CrashableStore> {
  const postgres = await PostgresProcess.start(root);
  const proxy = await CountingProxy.open(postgres.port);
  return {
    kind: 'PostgreSQL',
    url: postgres.url().replace(`:${postgres.port}/`, `:${proxy.port}/`),
    traffic: async () => proxy.traffic,
    pause: () => postgres.pause(),
    resume: () => postgres.resume(),
    crash: () => postgres.stop(),
    startAgain: () => postgres.startAgain(),
    close: async () => {
      postgres.resume();
      await proxy.close();
      await postgres.stop();
    },
  };
}

/** @param root an empty directory */
export async function openRedis(root: string): Promise<ReplicatedStore> {
  const layout = new Layout('tallyd', 64);
  const cluster = await RedisCluster.start(root);
  const masters = cluster.nodes.slice(0, cluster.nodes.length / 2).map(({ port }) => port);
  return {
    kind: 'Redis Cluster',
    url: cluster.url,
    traffic: async () => {
      const all = await Promise.all(masters.map(trafficOf));
      const sum = (part: keyof Traffic): number => all.reduce((total, traffic) => total + traffic[part], 0);
      return { calls: sum('calls'), bytes: sum('bytes') };
    },
    pause: () => cluster.pause(),
    resume: () => cluster.resume(),
    killPrimaryOf: async (counter) => {
      const { state } = layout.buckets[layout.bucketOf(counter)] as BucketKeys;
      await cluster.kill(await cluster.ownerOf(await cluster.slotOf(state)));
    },
    close: async () => {
      cluster.resume();
      await cluster.stop();
    },
  };
}

/** Scripts and questions for the state of a master; not what a script calls, and not what goes to replicas. */
async function trafficOf(port: number): Promise<Traffic> {
  const info = String(await command(port, 'INFO', 'everything'));
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const calls = ['evalsha', 'eval', 'info'].reduce((sum, name) => {
    const count = new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0;
    return sum + Number(count);
  }, 0);
  const bytes = ['input', 'output'].reduce(
    (sum, way) => sum + field(`total_net_${way}_bytes`) - field(`total_net_repl_${way}_bytes`),
    0,
  );
  return { calls, bytes };
}
