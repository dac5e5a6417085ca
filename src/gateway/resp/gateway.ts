/**
 * The RESP door: a TCP server that speaks RESP2 and RESP3 in front of a counting service. It holds the shared state of
 * connections and no counts.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { CountingService } from '../../counter/service.ts';
import type { Clock, Timer } from '../../host/host.ts';
import { principalOf } from '../auth/principal.ts';
import type { Secret } from '../auth/secret.ts';
import { ConnectionBudget } from '../connection-budget.ts';
import { BoundedLog, type Log } from '../log.ts';
import type { Trail } from '../trail.ts';
import { BatchPool } from './batch.ts';
import { ClientState } from './client-state.ts';
import type { Client, DoorContext, DoorFacts } from './command.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { RESP_LIMITS, type RespLimits } from './connection-limits.ts';
import { DoorTurns } from './door-turns.ts';
import { HeldBytes } from './held-bytes.ts';
import { ReplyWriter } from './reply-writer.ts';
import { RequestReader } from './request-reader.ts';
import { Transport, type TransportKind } from './transport.ts';

export interface RespGatewayOptions {
  readonly service: CountingService;
  readonly clock: Clock;
  readonly host: string;
  /** 0: any free one, see `RespGateway.address`. */
  readonly port: number;
  /** Without it every client that can connect may do everything. */
  readonly secret?: Secret | undefined;
  readonly log: Log;
  readonly trail?: Trail;
  readonly limits?: Partial<RespLimits>;
  /** What all doors share. */
  readonly budget?: ConnectionBudget;
  /** How bytes travel; `direct` where Node lets it. */
  readonly transport?: TransportKind;
}

/** The version of Redis whose replies and texts these are. */
const REDIS_VERSION = '7.0.15';
/** TCP keepalive, as in Redis: detects clients that disappeared silently. */
const KEEP_ALIVE_MS = 300_000;
const WATCH_MS = 1000;

export class RespGateway {
  readonly address: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #door: DoorContext;
  readonly #limits: RespLimits;
  readonly #budget: ConnectionBudget;
  readonly #host: ConnectionHost;
  readonly #connections = new Set<Connection>();
  readonly #watched = new Set<Connection>();
  #watchTimer: Timer | undefined;
  #accepted = 0;
  #refused = 0;
  #onEmpty: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(server: Server, options: RespGatewayOptions) {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : options.port;
    this.address = { host: options.host, port };
    this.#server = server;
    this.#limits = { ...RESP_LIMITS, ...options.limits };
    const { service, clock, secret, trail = {} } = options;
    const log = new BoundedLog(options.log, clock);
    this.#budget = options.budget ?? ConnectionBudget.ofOneDoor(clock, log);
    this.#door = { service, clock, secret, log, trail, facts: this.#facts(clock) };
    const reader = new RequestReader();
    this.#host = {
      door: this.#door,
      limits: this.#limits,
      reader,
      writer: new ReplyWriter(),
      batches: new BatchPool(this.#door, reader.request),
      turns: new DoorTurns(clock),
      heldBytes: new HeldBytes(this.#limits.heldBytesMax, this.#budget.max),
      readBuffer: Transport.buffer(options.transport ?? 'direct'),
      watch: (connection) => this.#watch(connection),
      unwatch: (connection) => this.#watched.delete(connection),
      closed: (connection) => {
        this.#connections.delete(connection);
        this.#writeDown(connection.client);
        this.#budget.give();
        if (this.#connections.size === 0) this.#onEmpty?.();
      },
    };
    server.on('connection', (socket) => this.#accept(socket));
    // For example out of file descriptors: the next accept may succeed again.
    server.on('error', (error) => log.error({ err: error }, 'the RESP port failed to accept a connection'));
  }

  /** Listens, and serves from then on. @throws the system's error when it cannot listen. */
  static async open(options: RespGatewayOptions): Promise<RespGateway> {
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      pauseOnConnect: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: options.host, port: options.port, backlog: 1024 }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    return new RespGateway(server, options);
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Stops accepting, answers complete requests, closes; connections still open after `graceMs` are cut. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    this.#server.close();
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#door.clock.schedule(graceMs, () => {
          this.#door.log.warn({ connections: this.#connections.size }, 'RESP connections did not end in time: cut');
          for (const connection of this.#connections) connection.cut();
        });
        this.#onEmpty = () => {
          timer.cancel();
          resolve();
        };
        for (const connection of this.#connections) connection.stop();
      });
    }
    this.#watchTimer?.cancel();
  }

  #accept(socket: Socket): void {
    if (!this.#budget.take()) {
      this.#refused++;
      socket.on('error', () => {
        // It is closing anyway.
      });
      socket.end('-ERR max number of clients reached\r\n', () => socket.destroy());
      return;
    }
    this.#accepted++;
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const local = `${socket.localAddress}:${socket.localPort}`;
    const openedMs = this.#door.clock.monotonicMs();
    const client: Client = new ClientState(
      this.#accepted,
      peer,
      local,
      openedMs,
      principalOf(this.#door.secret, undefined),
    );
    this.#connections.add(new Connection(this.#host, socket, client));
  }

  #writeDown({ peer, name, libraryName, authenticated, openedMs }: Client): void {
    const ms = Math.round(this.#door.clock.monotonicMs() - openedMs);
    this.#door.trail.access?.({ client: peer, name, library: libraryName, authenticated, ms }, 'RESP connection');
  }

  #watch(connection: Connection): void {
    this.#watched.add(connection);
    this.#watchTimer ??= this.#door.clock.schedule(WATCH_MS, () => {
      this.#watchTimer = undefined;
      const nowMs = this.#door.clock.monotonicMs();
      for (const each of this.#watched) each.checkTime(nowMs);
      const next = this.#watched.values().next().value;
      if (next !== undefined) this.#watch(next);
    });
  }

  #facts(clock: Clock): DoorFacts {
    const gateway = this;
    return {
      version: REDIS_VERSION,
      runId: randomBytes(20).toString('hex'),
      port: this.address.port,
      openedMs: clock.monotonicMs(),
      connectionsMax: this.#budget.max,
      savedAtSeconds: Math.floor(clock.nowMs() / 1000),
      savesUnderWay: 0,
      get connections() {
        return gateway.#connections.size;
      },
      get connectionsAccepted() {
        return gateway.#accepted;
      },
      get connectionsRefused() {
        return gateway.#refused;
      },
    };
  }
}
