/**
 * Wires one server: ownership, engine, doors; and stops it in the reverse order. If a step of the start fails, the
 * earlier steps are undone, so that a refused start leaves no process, port or ownership.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { CountingService, ServiceInfo } from '../counter/service.ts';
import type { Engine } from '../engine/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { ConnectionBudget } from '../gateway/connection-budget.ts';
import { HTTP_LIMITS, type HttpLimits } from '../gateway/http/door-limits.ts';
import { HttpGateway } from '../gateway/http/gateway.ts';
import { RESP_LIMITS, type RespLimits } from '../gateway/resp/connection-limits.ts';
import { RespGateway } from '../gateway/resp/gateway.ts';
import type { WriteDown } from '../gateway/trail.ts';
import { isAddressSpaceLimited } from '../host/node/memory.ts';
import { Watchdog } from '../host/node/watchdog.ts';
import type { ServerConfig } from './config.ts';
import { connectionsMax } from './descriptors.ts';
import { memoryBudget } from './memory-budget.ts';
import { host, type OwnedEngine, openEngine } from './open-engine.ts';
import { openRegion } from './open-region.ts';
import type { Ownership } from './owner.ts';
import { type ListenAddress, showAddress } from './setting-values.ts';
import type { TrailLevel } from './settings.ts';
import { reasonOf, StartError, systemCode } from './start-error.ts';

/**
 * A stop has one budget, below the ten seconds after which most supervisors kill. Each part has a deadline, in ms after
 * the stop was requested; time that it does not use passes to the next. Only the journal's own sync has none.
 */
const DOORS_BY_MS = 5_000;
const STORE_BY_MS = 7_000;
const SNAPSHOT_BY_MS = 9_000;
/** After this much processor time without a turn of the event loop, the process is killed. */
const STANDING_MS = 10_000;

/** The current step, for the log line of a stop that did not finish. */
export type Phase =
  | 'open'
  | 'closing the doors'
  | 'waiting for the store'
  | 'waiting for the disk'
  | 'releasing the data directory'
  | 'stopped';

interface Door {
  readonly address: ListenAddress;
  close(graceMs: number): Promise<void>;
}

interface Doors {
  readonly http: Door | undefined;
  readonly resp: Door | undefined;
}

interface ServerParts {
  readonly data: string;
  readonly ownership: Ownership;
  readonly engine: Engine;
  readonly exchange: Exchange | undefined;
  readonly doors: Doors;
  readonly log: Logger;
}

export class Server {
  readonly #data: string;
  readonly #ownership: Ownership;
  readonly #engine: Engine;
  /** The service that the doors call: the engine, or the exchange that shares its counters with other nodes. */
  readonly #service: CountingService;
  readonly #exchange: Exchange | undefined;
  readonly #doors: Doors;
  readonly #log: Logger;
  readonly #watchdog: Watchdog | undefined;
  #phase: Phase = 'open';

  private constructor(parts: ServerParts) {
    this.#data = parts.data;
    this.#ownership = parts.ownership;
    this.#engine = parts.engine;
    this.#exchange = parts.exchange;
    this.#service = parts.exchange ?? parts.engine;
    this.#doors = parts.doors;
    this.#log = parts.log;
    this.#watchdog = isAddressSpaceLimited() ? undefined : new Watchdog(STANDING_MS);
  }

  /**
   * Resolves when both doors accept traffic.
   * @throws StartError if the directory, the journal or a port cannot be used
   */
  static async start(config: ServerConfig, log: Logger): Promise<Server> {
    for (const warning of config.warnings) log.warn(warning);
    // Before the counters take their share.
    const limits = doorLimits(memoryBudget().doorBytes);
    const owned = await openDirectory(config, log);
    const { engine, ownership } = owned;
    const opened: Door[] = [];
    let exchange: Exchange | undefined;
    try {
      exchange = config.region === undefined ? undefined : await share(owned, config.region, config, log);
      const budget = new ConnectionBudget(connectionsMax(), host.clock, (data) =>
        log.warn(data, 'connections refused: raise the limit of open files (ulimit -n), or close idle connections'),
      );
      const { secret, cors, allowedHosts, accessLog, auditLog } = config.doors;
      const trail = { access: lines(log, accessLog), audit: lines(log, auditLog) };
      const common = { service: exchange ?? engine, clock: host.clock, secret, budget, log, trail };
      const resp = await openDoor('resp', config.doors.resp, opened, (at) =>
        RespGateway.open({ ...common, ...at, limits: limits.resp }),
      );
      const otherConnections = (): Record<string, number> => (resp === undefined ? {} : { resp: resp.connections });
      const http = await openDoor('http', config.doors.http, opened, (at) =>
        HttpGateway.open({
          ...common,
          ...at,
          limits: limits.http,
          cors,
          allowedHosts,
          version: packageVersion(),
          otherConnections,
        }),
      );
      return new Server({ data: config.engine.directory, ownership, engine, exchange, doors: { http, resp }, log });
    } catch (error) {
      await Promise.all(opened.map((door) => door.close(0)));
      await exchange?.close(STORE_BY_MS);
      await engine.close().then(
        () => ownership.release(),
        () => {
          // The reason the door could not be opened matters more; the directory then counts as left by a crash.
        },
      );
      throw error;
    }
  }

  /** The ready line: states that the server accepts traffic, and where; the directory as it was given. */
  get readyLine(): string {
    const { http, resp } = this.#doors;
    const show = (door: Door | undefined): string => (door === undefined ? 'off' : showAddress(door.address));
    return `tallyd ready http=${show(http)} resp=${show(resp)} data=${this.#data}`;
  }

  get phase(): Phase {
    return this.#phase;
  }

  info(): ServiceInfo {
    return this.#service.info();
  }

  /**
   * Accepts no new connection or command, finishes and syncs accepted work, and releases the directory.
   * @param askedAtMs by the monotonic clock: the budget runs from then on
   * @throws the error that prevented finishing; the directory then still counts as left by a crash
   */
  async stop(askedAtMs: number): Promise<void> {
    const leftMs = (byMs: number): number => Math.max(0, askedAtMs + byMs - host.clock.monotonicMs());
    this.#phase = 'closing the doors';
    const doors = [this.#doors.http, this.#doors.resp].filter((door) => door !== undefined);
    // After this a door drops connections whose clients do not read their last replies.
    const closings = await Promise.allSettled(doors.map((door) => door.close(leftMs(DOORS_BY_MS))));
    for (const closing of closings) {
      // Accepted work must still reach the disk.
      if (closing.status === 'rejected') this.#log.error({ err: closing.reason }, 'a door did not close');
    }
    this.#phase = 'waiting for the store';
    const isHandedOn = await this.#exchange?.close(leftMs(STORE_BY_MS));
    if (isHandedOn === false)
      this.#log.warn('the store has not confirmed everything: the next start brings it the rest');
    this.#phase = 'waiting for the disk';
    await this.#engine.close(leftMs(SNAPSHOT_BY_MS));
    this.#phase = 'releasing the data directory';
    await this.#ownership.release().catch((error: unknown) => {
      // Everything is durable; only another host would now ask for --take-over.
      this.#log.warn({ err: error }, 'owner.json does not say that the data directory was left cleanly');
    });
    await this.#watchdog?.stop();
    this.#phase = 'stopped';
  }
}

/** Writes lines of this level. Undefined: the level is hidden. */
function lines(log: Logger, level: TrailLevel): WriteDown | undefined {
  if (level === 'off' || !log.isLevelEnabled(level)) return undefined;
  return (data, message) => log[level](data, message);
}

async function openDirectory(config: ServerConfig, log: Logger): Promise<OwnedEngine> {
  const since = performance.now();
  const owned = await openEngine({
    ...config.engine,
    isShared: config.region !== undefined,
    onFailure: (error) => log.error({ err: error }, 'the journal or a snapshot cannot be written; trying again'),
    onDamaged: (what) => log.error({ what }, 'a file of the data directory is damaged; counting goes on without it'),
    onRepaired: () => log.info('the journal can be written again'),
  });
  const { counters, sequence, tableBytesMax: memoryBytes } = owned.engine.info();
  const tookMs = Math.round(performance.now() - since);
  const { directory } = owned.ownership;
  log.info({ directory, counters, sequence: String(sequence), tookMs, memoryBytes }, 'recovered');
  return owned;
}

/**
 * Connects to the store. Impossible states are rethrown from `setImmediate`, so the process dies; the next start is its
 * heir.
 */
async function share(
  owned: OwnedEngine,
  region: NonNullable<ServerConfig['region']>,
  { engine, doors: { http, resp } }: ServerConfig,
  log: Logger,
): Promise<Exchange> {
  const exchange = await openRegion(owned, {
    ...region,
    policies: engine.policies,
    place: {
      host: hostname(),
      path: owned.ownership.directory,
      http: http && showAddress(http),
      resp: resp && showAddress(resp),
    },
    onFailure: (error) => log.warn({ err: error }, 'the store does not answer as it should; counting goes on'),
    onRepaired: () => log.info('the store answers again'),
    onUnwritten: (error) => log.error({ err: error }, 'the data directory cannot be written; trying again'),
    onRetired: (replica) => log.warn({ replica }, 'retired a replica that nobody has heard of for long'),
    onDamaged: (what) =>
      log.error({ what }, 'the store, or a file, says what cannot be so; counting goes on without it'),
    onWentBack: () =>
      log.error(
        'the store went back in time: a failover, a restore or a restart lost data; telling it what is known here',
      ),
    onFatal: (error) =>
      setImmediate(() => {
        throw error;
      }),
  });
  const { replica, isDurable } = exchange.storeInfo();
  log.info({ replica, isDurable }, 'counting as a replica of its region');
  return exchange;
}

/** The doors' own limits, or less if the process may not use that much memory. */
function doorLimits(bytes: number): { readonly http: Partial<HttpLimits>; readonly resp: Partial<RespLimits> } {
  const { answerBytesMax, bodyBytesArrivingMax } = HTTP_LIMITS;
  return {
    http: {
      answerBytesMax: Math.min(answerBytesMax, bytes / 2),
      bodyBytesArrivingMax: Math.min(bodyBytesArrivingMax, bytes / 2),
    },
    resp: { heldBytesMax: Math.min(RESP_LIMITS.heldBytesMax, bytes) },
  };
}

async function openDoor<Opened extends Door>(
  name: string,
  address: ListenAddress | undefined,
  opened: Door[],
  open: (address: ListenAddress) => Promise<Opened>,
): Promise<Opened | undefined> {
  if (address === undefined) return undefined;
  try {
    const door = await open(address);
    opened.push(door);
    return door;
  } catch (error) {
    throw listenRefusal(name, address, error);
  }
}

function listenRefusal(name: string, address: ListenAddress, cause: unknown): unknown {
  const because = (what: string): StartError =>
    new StartError(`${name} cannot listen on ${showAddress(address)}: ${what}`, { cause });
  switch (systemCode(cause)) {
    case 'EADDRINUSE':
      return because(`the port is taken; stop the process that has it, or name another with --${name}`);
    case 'EADDRNOTAVAIL':
      return because('this machine has no such address');
    case 'EACCES':
      return because('this user may not use the port; name one above 1023');
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return because('the host name cannot be resolved');
    case undefined:
      return cause;
    default:
      return because(reasonOf(cause));
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
