// A Redis Cluster of the test's own: three masters with a replica each, put together by commands; and the smallest
// set that Sentinel can look after. Both fail over within a few seconds.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis';
import { secureContext } from '../../src/store/redis/tls.ts';
import { freePort } from './free-port.ts';
import { flagsOf, RedisProcess } from './redis-process.ts';
import { type Certificates, tlsSettings } from './redis-tls.ts';

const MASTERS = 3;
const SLOTS = 16_384;

/** Sends one command to the server on that port. */
export function command(port: number, ...words: readonly string[]): Promise<unknown> {
  return commandAs({}, port, ...words);
}

/** How a server wants to be talked to. */
export interface Access {
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly tls?: Certificates | undefined;
  readonly password?: string;
}

export async function commandAs(
  { host = '127.0.0.1', tls, password }: Access,
  port: number,
  ...words: readonly string[]
): Promise<unknown> {
  const secure = tls && { tls: true as const, secureContext: secureContext(tls) };
  const socket = { host, port, reconnectStrategy: false as const, ...secure };
  const client = createClient({ RESP: 2, socket, ...(password !== undefined && { password }) });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await client.sendCommand(words);
  } finally {
    client.destroy();
  }
}

/** Until `condition` holds; the test's own time limit ends it. What cannot be asked does not hold yet. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition().catch(() => false))) await sleep(25);
}

interface Node {
  readonly port: number;
  /** Where the nodes talk among themselves. */
  readonly busPort: number;
  readonly process: RedisProcess;
}

export interface ClusterOptions {
  /** What its nodes want of everybody, each other included. */
  readonly access?: Access;
  /** Further settings of every node. */
  readonly settings?: Readonly<Record<string, string>>;
}

export class RedisCluster {
  readonly nodes: readonly Node[];
  readonly #access: Access;

  private constructor(nodes: readonly Node[], access: Access) {
    this.nodes = nodes;
    this.#access = access;
  }

  static async start(directory: string, { access = {}, settings = {} }: ClusterOptions = {}): Promise<RedisCluster> {
    const nodes = await Promise.all(
      Array.from({ length: 2 * MASTERS }, () => startNode(mkdtempSync(join(directory, 'node-')), access, settings)),
    );
    const cluster = new RedisCluster(nodes, access);
    const command = commandAs.bind(undefined, access);
    await Promise.all(nodes.map(({ port }, i) => command(port, 'CLUSTER', 'SET-CONFIG-EPOCH', `${i + 1}`)));
    await Promise.all(
      nodes.slice(0, MASTERS).map(({ port }, i) => {
        const [from, to] = [i, i + 1].map((part) => Math.floor((part * SLOTS) / MASTERS)) as [number, number];
        return command(port, 'CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${to - 1}`);
      }),
    );
    const [first, ...others] = nodes as [Node, ...Node[]];
    for (const { port, busPort } of others) {
      await command(first.port, 'CLUSTER', 'MEET', '127.0.0.1', `${port}`, `${busPort}`);
    }
    await until(async () => {
      const known = await Promise.all(nodes.map(({ port }) => command(port, 'CLUSTER', 'INFO')));
      return known.every((info) => String(info).includes(`cluster_known_nodes:${nodes.length}`));
    });
    for (const [i, { port }] of nodes.slice(MASTERS).entries()) {
      const master = String(await command((nodes[i] as Node).port, 'CLUSTER', 'MYID'));
      await until(async () => (await command(port, 'CLUSTER', 'REPLICATE', master)) === 'OK');
    }
    await cluster.isWhole();
    return cluster;
  }

  /** Seeds; the client finds the rest. */
  get url(): string {
    return `redis://${this.seeds()}`;
  }

  seeds(host = '127.0.0.1'): string {
    return this.nodes.map(({ port }) => `${host}:${port}`).join(',');
  }

  /** Until every node says that all is well, and the replicas have caught up. */
  async isWhole(): Promise<void> {
    await until(async () => {
      const infos = await Promise.all(
        this.nodes.flatMap(({ port }) => [
          commandAs(this.#access, port, 'CLUSTER', 'INFO'),
          commandAs(this.#access, port, 'INFO', 'replication'),
        ]),
      );
      return infos.every((info) => !/cluster_state:fail|master_link_status:down/.test(String(info)));
    });
  }

  /** The port of the master that has the hash slot, as the node on another port sees it. */
  async ownerOf(slot: number, asSeenBy = this.nodes[0]?.port as number): Promise<number> {
    const ranges = (await command(asSeenBy, 'CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
    const range = ranges.find(([from, to]) => from <= slot && slot <= to);
    if (range === undefined) throw new Error(`nobody has slot ${slot}`);
    return range[2][1];
  }

  async slotOf(key: string): Promise<number> {
    return Number(await command(this.nodes[0]?.port as number, 'CLUSTER', 'KEYSLOT', key));
  }

  /** Moves a hash slot as redis-cli does, but key by key and with a pause, so that clients meet every state of it. */
  async moveSlot(slot: number, target: number, pauseMs: number): Promise<void> {
    const source = await this.ownerOf(slot);
    const [sourceId, targetId] = await Promise.all([source, target].map((port) => command(port, 'CLUSTER', 'MYID')));
    await command(target, 'CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', `${sourceId}`);
    await command(source, 'CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', `${targetId}`);
    await sleep(pauseMs);
    for (;;) {
      const [key] = (await command(source, 'CLUSTER', 'GETKEYSINSLOT', `${slot}`, '1')) as string[];
      if (key === undefined) break;
      await command(source, 'MIGRATE', '127.0.0.1', `${target}`, key, '0', '5000');
      await sleep(pauseMs);
    }
    for (const port of [target, source]) {
      await command(port, 'CLUSTER', 'SETSLOT', `${slot}`, 'NODE', `${targetId}`);
    }
  }

  async kill(port: number): Promise<void> {
    await this.nodes.find((node) => node.port === port)?.process.stop();
  }

  /** Nobody of them answers any more, until `resume`. */
  pause(): void {
    for (const { process } of this.nodes) process.pause();
  }

  resume(): void {
    for (const { process } of this.nodes) process.resume();
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ process }) => process.stop()));
  }
}

async function startNode(
  directory: string,
  { tls, password }: Access,
  further: Readonly<Record<string, string>>,
): Promise<Node> {
  const [port, busPort] = await Promise.all([freePort(), freePort()]);
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-node-timeout': '1000',
    'cluster-port': `${busPort}`,
    'cluster-replica-validity-factor': '0',
    'repl-diskless-sync-delay': '0',
    ...(password !== undefined && { requirepass: password, masterauth: password }),
    ...(tls && tlsSettings(port, tls)),
    ...further,
  };
  return { port, busPort, process: await RedisProcess.start(directory, flagsOf(settings), port) };
}

/** A master, its replica, and the Sentinel that watches them. */
export class RedisSentinel {
  readonly servers: readonly [RedisProcess, RedisProcess];
  readonly #sentinel: RedisProcess;

  private constructor(servers: readonly [RedisProcess, RedisProcess], sentinel: RedisProcess) {
    this.servers = servers;
    this.#sentinel = sentinel;
  }

  static async start(directory: string, tls?: Certificates): Promise<RedisSentinel> {
    const [masterPort, replicaPort, port] = await Promise.all([freePort(), freePort(), freePort()]);
    const settingsAt = (at: number) => (tls === undefined ? {} : tlsSettings(at, tls));
    const server = (at: number, own: Record<string, string>) =>
      RedisProcess.start(directory, flagsOf({ ...settingsAt(at), ...own }), at);
    const master = await server(masterPort, { 'repl-diskless-sync-delay': '0' });
    const replica = await server(replicaPort, { replicaof: `127.0.0.1 ${masterPort}` });
    // It writes into its file what it learns.
    const file = join(mkdtempSync(join(directory, 'sentinel-')), 'sentinel.conf');
    const settings = [
      ...Object.entries({ port: `${port}`, ...settingsAt(port) }).map((setting) => setting.join(' ')),
      'bind 127.0.0.1',
      `sentinel monitor counters 127.0.0.1 ${masterPort} 1`,
      'sentinel down-after-milliseconds counters 500',
      'sentinel failover-timeout counters 2000',
    ];
    writeFileSync(file, settings.join('\n'));
    const sentinel = await RedisProcess.launch(port, [file, '--sentinel'], '+monitor master');
    await until(async () =>
      String(await commandAs({ tls }, replicaPort, 'INFO', 'replication')).includes('master_link_status:up'),
    );
    return new RedisSentinel([master, replica], sentinel);
  }

  /** Where the Sentinel is, and what it calls the master. */
  get place(): string {
    return `127.0.0.1:${this.#sentinel.address.port}/counters`;
  }

  get url(): string {
    return `redis+sentinel://${this.place}`;
  }

  /** Until it would put the replica in the master's place. */
  async knowsReplica(): Promise<void> {
    await until(async () => {
      const replicas = (await command(this.#sentinel.address.port, 'SENTINEL', 'REPLICAS', 'counters')) as string[][];
      return replicas.some((replica) => replica[replica.indexOf('master-link-status') + 1] === 'ok');
    });
  }
}
