/**
 * Connections to Redis by node-redis, which routes commands in a cluster and follows its redirections. A connection
 * here never reconnects: once a server is lost it fails at once, and `RedisLine` opens another, which looks up the
 * master again. So there is one way to recover, the same for one server, Sentinel and Cluster, and no command waits in
 * a queue for ever.
 */
import type { SecureContext } from 'node:tls';
import type * as NodeRedis from 'redis';
import type { KnownServers } from './known-servers.ts';
import type { Credentials, RedisAddress, RedisUrl } from './redis-url.ts';
import { hint } from './tls.ts';

export interface RedisConnection {
  /** To the master that holds the key. */
  send(key: string, command: readonly string[]): Promise<unknown>;
  /** To every master. @returns their answers, in the order of the masters. */
  sendToMasters(command: readonly string[]): Promise<readonly unknown[]>;
  /** Ends it; pending calls fail. */
  end(): void;
}

export type Library = typeof NodeRedis;

/** Opens connections to one store. */
export class RedisConnector {
  readonly #library: Library;
  readonly #url: RedisUrl;
  readonly #tls: SecureContext | undefined;
  readonly #connectMs: number;
  // Never connected, only duplicated: the library builds a class of some hundred commands for each new set of options,
  // which would stop this process for a tenth of a second at every reconnection.
  #client: ReturnType<typeof clientTemplate> | undefined;
  #cluster: ReturnType<typeof clusterTemplate> | undefined;
  readonly #known: KnownServers;

  /** @param connectMs How long one server may take to accept a connection. */
  constructor(library: Library, url: RedisUrl, known: KnownServers, tls: SecureContext | undefined, connectMs: number) {
    this.#library = library;
    this.#url = url;
    this.#known = known;
    this.#tls = tls;
    this.#connectMs = connectMs;
  }

  async connect(): Promise<RedisConnection> {
    const { addresses, masterName } = this.#url;
    if (masterName !== undefined) return this.#connectByName(masterName);
    const known = this.#known.addresses;
    const seeds = [...addresses, ...known];
    const [address] = addresses;
    if (address === undefined || addresses.length > 1) return this.#connectCluster(seeds);
    const server = await this.#connectServer(address, this.#url).catch((error: unknown) => {
      // It belonged to a cluster once, so other servers may know the cluster.
      if (known.length === 0) throw error;
    });
    if (server === undefined) return this.#connectCluster(known);
    try {
      if (!/^cluster_enabled:1/m.test(String(await server.sendCommand(['INFO', 'cluster'])))) return single(server);
    } catch (error) {
      server.destroy();
      throw error;
    }
    server.destroy();
    return this.#connectCluster(seeds);
  }

  /** Queries the Sentinels one after another, and accepts the first answer whose master confirms its role. */
  async #connectByName(name: string): Promise<RedisConnection> {
    const troubles: string[] = [];
    for (const sentinel of [...this.#url.addresses, ...this.#known.addresses]) {
      try {
        const master = await this.#connectServer(await this.#masterOf(sentinel, name), this.#url);
        const role = await master.sendCommand(['ROLE']);
        if (Array.isArray(role) && role[0] === 'master') return single(master);
        master.destroy();
        troubles.push('the master is not yet one');
      } catch (error) {
        troubles.push(messageOf(error));
      }
    }
    throw new Error(`no Sentinel led to the master: ${troubles.join('; ')}`);
  }

  async #masterOf(sentinel: RedisAddress, name: string): Promise<RedisAddress> {
    const ask = async (credentials: Credentials) => {
      const client = await this.#connectServer(sentinel, credentials, 0);
      try {
        const master = await client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name]);
        // The other Sentinels that it knows. Not every user may query them.
        const others = await client.sendCommand(['SENTINEL', 'SENTINELS', name]).catch(() => []);
        this.#known.named([sentinel, ...addressesOf(others)]);
        return master;
      } finally {
        client.destroy();
      }
    };
    // Sentinels have their own credentials, usually none or those of the servers.
    const answer = await ask({ username: undefined, password: undefined }).catch((error: unknown) => {
      if (this.#url.password !== undefined && messageOf(error).startsWith('NOAUTH')) return ask(this.#url);
      throw error;
    });
    if (!Array.isArray(answer)) throw new Error(`the Sentinel knows no master '${name}'`);
    return { host: String(answer[0]), port: Number(answer[1]) };
  }

  async #connectCluster(seeds: readonly RedisAddress[]): Promise<RedisConnection> {
    this.#cluster ??= clusterTemplate(this.#library, this.#url, this.#options(this.#url));
    const rootNodes = seeds.map(({ host, port }) => ({ socket: { host, port } }));
    const cluster = this.#cluster.duplicate({ rootNodes });
    let trouble: unknown;
    cluster.on('error', (error) => {
      trouble ??= error;
    });
    // The error of one seed is more helpful than a message that all failed.
    await cluster.connect().catch((error: unknown) => {
      throw this.#explained(trouble ?? error);
    });
    return {
      send: (key, command) => cluster.sendCommand(key, false, [...command]),
      sendToMasters: (command) => {
        if (cluster.masters.length === 0) throw new Error('the cluster has no masters');
        this.#known.named([...cluster.masters, ...cluster.replicas]);
        return Promise.all(cluster.masters.map(async (node) => (await cluster.nodeClient(node)).sendCommand(command)));
      },
      end: () => cluster.destroy(),
    };
  }

  async #connectServer(address: RedisAddress, credentials: Credentials, database = this.#url.database) {
    this.#client ??= clientTemplate(this.#library);
    const client = this.#client.duplicate(this.#options(credentials, address, database));
    client.on('error', ignoreEvent);
    await client.connect().catch((error: unknown) => {
      throw this.#explained(error);
    });
    return client;
  }

  #explained(error: unknown): Error {
    const message = messageOf(error);
    return new Error(message + hint(message, this.#tls !== undefined), { cause: error });
  }

  #options({ username, password }: Credentials, address?: RedisAddress, database = 0) {
    return {
      socket: {
        connectTimeout: this.#connectMs,
        reconnectStrategy: false as const,
        ...(this.#tls === undefined ? {} : { tls: true as const, secureContext: this.#tls }),
        ...address,
      },
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(database === 0 ? {} : { database }),
      commandOptions: COMMAND_OPTIONS,
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: 'disabled' as const,
    };
  }
}

function single(client: ReturnType<typeof clientTemplate>): RedisConnection {
  return {
    send: (_key, command) => client.sendCommand(command),
    sendToMasters: async (command) => [await client.sendCommand(command)],
    end: () => client.destroy(),
  };
}

/** Of what Sentinel says of others: for each a list of fields and their values. */
function addressesOf(others: unknown): RedisAddress[] {
  if (!Array.isArray(others)) return [];
  return others.flatMap((fields: unknown): RedisAddress[] => {
    if (!Array.isArray(fields)) return [];
    const field = (name: string): unknown => fields[fields.indexOf(name) + 1];
    const [host, port] = [field('ip'), Number(field('port'))];
    return typeof host === 'string' && Number.isInteger(port) ? [{ host, port }] : [];
  });
}

function clientTemplate(library: Library) {
  return library.createClient({ RESP: 2, maintNotifications: 'disabled' });
}

function clusterTemplate(library: Library, { addresses }: RedisUrl, defaults: NodeRedis.RedisClientOptions) {
  return library.createCluster({
    RESP: 2,
    rootNodes: addresses.map(({ host, port }) => ({ socket: { host, port } })),
    defaults,
    // Nodes are connected on demand: one that is down must not prevent the discovery of the others.
    minimizeConnections: true,
    commandOptions: COMMAND_OPTIONS,
  });
}

/** No timer per command: each call of the store has one time limit for all of them. */
const COMMAND_OPTIONS = { timeout: 0 };

function ignoreEvent(): void {
  // The affected calls fail by themselves; an event without a listener would end the process.
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // OpenSSL's message contains an address, a source line, and somewhere the reason.
  if ('library' in error && 'reason' in error) return String(error.reason);
  // A refused connection to a name with several addresses has no message of its own.
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
