/**
 * Connections to Redis by node-redis, which routes commands in a cluster and follows its redirections. A connection
 * here never mends itself: once a server is lost it fails at once, and `RedisLine` makes another, which looks up anew
 * who the master is. So there is one way to recover, the same for one server, Sentinel and Cluster, and no command
 * waits in a queue that nobody empties.
 */
import type * as NodeRedis from 'redis';
import type { Credentials, RedisAddress, RedisUrl } from './redis-url.ts';

export interface RedisConnection {
  /** To the master that holds the key. */
  send(key: string, command: readonly string[]): Promise<unknown>;
  /** To every master. @returns their answers, in the order of the masters. */
  sendToMasters(command: readonly string[]): Promise<readonly unknown[]>;
  /** Ends it; what waits for an answer fails. */
  end(): void;
}

export type Library = typeof NodeRedis;

type Client = ReturnType<typeof openClient>;

/** @param connectMs How long one server may take to accept a connection. */
export async function connectRedis(library: Library, url: RedisUrl, connectMs: number): Promise<RedisConnection> {
  if (url.masterName !== undefined) return connectByName(library, url, url.masterName, connectMs);
  if (url.addresses.length > 1) return connectCluster(library, url, connectMs);
  const server = await connectServer(library, url, url.addresses[0] as RedisAddress, url, connectMs);
  try {
    if (!/^cluster_enabled:1/m.test(String(await server.sendCommand(['INFO', 'cluster'])))) return single(server);
  } catch (error) {
    server.destroy();
    throw error;
  }
  server.destroy();
  return connectCluster(library, url, connectMs);
}

function single(client: Client): RedisConnection {
  return {
    send: (_key, command) => client.sendCommand(command),
    sendToMasters: async (command) => [await client.sendCommand(command)],
    end: () => client.destroy(),
  };
}

/** Asks the Sentinels, one after the other, and believes the first that answers and whose master says so itself. */
async function connectByName(
  library: Library,
  url: RedisUrl,
  name: string,
  connectMs: number,
): Promise<RedisConnection> {
  const troubles: string[] = [];
  for (const sentinel of url.addresses) {
    try {
      const master = await connectServer(
        library,
        url,
        await masterOf(library, url, sentinel, name, connectMs),
        url,
        connectMs,
      );
      const [role] = (await master.sendCommand(['ROLE'])) as unknown as unknown[];
      if (role === 'master') return single(master);
      master.destroy();
      troubles.push('the master is not yet one');
    } catch (error) {
      troubles.push(messageOf(error));
    }
  }
  throw new Error(`no Sentinel led to the master: ${troubles.join('; ')}`);
}

async function masterOf(
  library: Library,
  url: RedisUrl,
  sentinel: RedisAddress,
  name: string,
  connectMs: number,
): Promise<RedisAddress> {
  const ask = async (credentials: Credentials) => {
    const client = await connectServer(library, url, sentinel, credentials, connectMs);
    try {
      return (await client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name])) as unknown;
    } finally {
      client.destroy();
    }
  };
  // Sentinels have credentials of their own, most often none or those of the servers.
  const answer = await ask({ username: undefined, password: undefined }).catch((error: unknown) => {
    if (url.password !== undefined && messageOf(error).startsWith('NOAUTH')) return ask(url);
    throw error;
  });
  if (!Array.isArray(answer)) throw new Error(`the Sentinel knows no master '${name}'`);
  return { host: String(answer[0]), port: Number(answer[1]) };
}

async function connectCluster(library: Library, url: RedisUrl, connectMs: number): Promise<RedisConnection> {
  const cluster = library.createCluster({
    RESP: 2,
    rootNodes: url.addresses.map(({ host, port }) => ({ socket: { host, port } })),
    defaults: clientOptions(url, url, connectMs),
    // A node is connected to when it is needed: one that is down must not keep the others from being found.
    minimizeConnections: true,
    commandOptions: COMMAND_OPTIONS,
  });
  cluster.on('error', ignoreEvent);
  await cluster.connect();
  return {
    send: (key, command) => cluster.sendCommand(key, false, [...command]),
    sendToMasters: (command) =>
      Promise.all(cluster.masters.map(async (node) => (await cluster.nodeClient(node)).sendCommand(command))),
    end: () => cluster.destroy(),
  };
}

async function connectServer(
  library: Library,
  url: RedisUrl,
  address: RedisAddress,
  credentials: Credentials,
  connectMs: number,
): Promise<Client> {
  const client = openClient(library, clientOptions(url, credentials, connectMs, address));
  client.on('error', ignoreEvent);
  await client.connect();
  return client;
}

function openClient(library: Library, options: ReturnType<typeof clientOptions>) {
  return library.createClient(options);
}

function clientOptions(url: RedisUrl, { username, password }: Credentials, connectMs: number, address?: RedisAddress) {
  return {
    RESP: 2 as const,
    socket: {
      connectTimeout: connectMs,
      reconnectStrategy: false as const,
      ...(url.isTls ? { tls: true as const } : {}),
      ...address,
    },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(url.database === 0 ? {} : { database: url.database }),
    commandOptions: COMMAND_OPTIONS,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled' as const,
  };
}

/** No timer per command: each call of the store has one deadline for all of them. */
const COMMAND_OPTIONS = { timeout: 0 };

function ignoreEvent(): void {
  // The calls that the loss concerns fail by themselves; an event without a listener would end the process.
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection to a name with several addresses has no message of its own.
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
