// One node of a region as operators see it: a directory, and a process on it that comes and goes. Who talks to it asks
// for its address anew after every start.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runTallyd, ServerProcess } from '../wire/server-process.ts';

export interface NodeOptions {
  readonly store: string;
  readonly flags?: readonly string[];
}

export interface StoreState {
  readonly replica: string;
  readonly isAnswering: boolean;
  readonly backlog: number;
  readonly held: number;
  readonly evicted: number;
  readonly loads: number;
  readonly hits: number;
  readonly misses: number;
  readonly calls: number;
  readonly slotsSent: number;
  readonly wentBack: number;
}

export interface Reading {
  readonly name: string;
  readonly value: bigint | null;
  readonly own: bigint | undefined;
  readonly exists: boolean;
}

export class RegionNode {
  readonly name: string;
  readonly directory: string;
  readonly #options: NodeOptions;
  #server: ServerProcess | undefined;

  constructor(root: string, name: string, options: NodeOptions) {
    this.name = name;
    this.directory = join(root, name);
    this.#options = options;
  }

  /** Starts nodes that share this store, side by side. */
  static async startAll(root: string, names: readonly string[], options: NodeOptions): Promise<RegionNode[]> {
    await mkdir(root, { recursive: true });
    const nodes = names.map((name) => new RegionNode(root, name, options));
    await Promise.all(nodes.map((node) => node.start()));
    return nodes;
  }

  /** The process, while it takes traffic. */
  get running(): ServerProcess | undefined {
    return this.#server;
  }

  get server(): ServerProcess {
    if (this.#server === undefined) throw new Error(`node ${this.name} does not run`);
    return this.#server;
  }

  get url(): string {
    return `http://${this.server.http?.host}:${this.server.http?.port}`;
  }

  async start(): Promise<void> {
    const { store, flags = [] } = this.#options;
    // The store's URL holds a password, which is nothing for a command line.
    const environment = { TALLYD_STORE: store };
    this.#server = await ServerProcess.start({ data: this.directory, flags, environment });
  }

  async kill(): Promise<void> {
    const server = this.server;
    this.#server = undefined;
    await server.end('SIGKILL');
  }

  /** Stops it cleanly. @returns its exit code */
  async stop(): Promise<number | null> {
    const server = this.server;
    this.#server = undefined;
    return (await server.end('SIGTERM')).code;
  }

  async loseDisk(): Promise<void> {
    await rm(this.directory, { recursive: true });
  }

  pause(): void {
    this.server.signal('SIGSTOP');
  }

  resume(): void {
    this.server.signal('SIGCONT');
  }

  async storeState(): Promise<StoreState> {
    const response = await fetch(`${this.url}/v1/info`);
    return ((await response.json()) as { store: StoreState }).store;
  }

  /** The counters as this node shows them. */
  async read(names: readonly string[], consistency: 'local' | 'region' = 'local'): Promise<Reading[]> {
    const query = names.map((name) => `name=${encodeURIComponent(name)}`).join('&');
    const response = await fetch(`${this.url}/v1/counters?${query}&numbers=string&consistency=${consistency}`);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`node ${this.name} answers ${response.status} ${text}`);
    const { counters } = JSON.parse(text) as { counters: RawReading[] };
    return counters.map(({ name, value, own, exists }) => ({
      name,
      value: value === null ? null : BigInt(value),
      own: own === undefined ? undefined : BigInt(own),
      exists,
    }));
  }

  /** As `read`, where every value has to be known. */
  async values(names: readonly string[], consistency: 'local' | 'region' = 'local'): Promise<Map<string, bigint>> {
    const values = new Map<string, bigint>();
    for (const { name, value } of await this.read(names, consistency)) {
      if (value === null) throw new Error(`node ${this.name} does not know ${name}`);
      values.set(name, value);
    }
    return values;
  }
}

interface RawReading {
  readonly name: string;
  readonly value: string | null;
  readonly own?: string;
  readonly exists: boolean;
}

export interface ListedReplica {
  readonly replica: string;
  readonly state: string;
  readonly directory: string;
  readonly host: string;
  readonly http: string;
  readonly path: string;
}

/** What `tallyd node list` shows. */
export async function listReplicas(store: string): Promise<ListedReplica[]> {
  const { code, stdout, stderr } = await runTallyd(['node', 'list', '--json'], { TALLYD_STORE: store });
  if (code !== 0) throw new Error(`node list ends with ${code}: ${stderr}`);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as ListedReplica);
}

/** Those of them that run, in a fixed order. */
export async function runningReplicas(store: string): Promise<string[]> {
  const replicas = await listReplicas(store);
  return replicas
    .filter(({ state }) => state === 'running')
    .map(({ replica }) => replica)
    .sort();
}

export function retire(store: string, replica: string): ReturnType<typeof runTallyd> {
  return runTallyd(['node', 'retire', replica], { TALLYD_STORE: store });
}
