/**
 * The HTTP door: JSON over HTTP/1.1 to a counting service. It holds no counts and makes no decisions about them: each
 * request becomes a chunk of commands, and the chunk's outcomes become the answer.
 *
 * The life of a request: it waits until the earlier ones on its connection are answered (`connections.ts`), Node reads
 * its head, the guard checks it (`guard.ts`), its body is collected (`bodies.ts`) and parsed exactly (`json.ts`),
 * checked against the route's schema (`schemas.ts`), and its commands go to the service in a pending request
 * (`pending-requests.ts`). Errors on the way are answered as problems (`problems.ts`), and a refused request has
 * changed nothing.
 *
 * Two kinds of requests are so frequent that they have a fast path for their usual form: an increment
 * (`plain-increment.ts`), and a batch (`plain-batch.ts`).
 */
import type { AddressInfo, Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { AUTHENTICATION_MS } from '../../counter/limits.ts';
import type { CountingService } from '../../counter/service.ts';
import type { Clock } from '../../host/host.ts';
import type { Secret } from '../auth/secret.ts';
import { ConnectionBudget } from '../connection-budget.ts';
import { BoundedLog, type Log } from '../log.ts';
import type { Trail } from '../trail.ts';
import { Answers } from './answers.ts';
import { buildApp } from './app.ts';
import { Bodies } from './bodies.ts';
import type { Connections } from './connections.ts';
import { type CorsOptions, CorsRules } from './cors.ts';
import { HTTP_LIMITS, type HttpLimits } from './door-limits.ts';
import { Guard } from './guard.ts';
import { PendingRequests } from './pending-requests.ts';
import { Turns } from './turns.ts';
import { UnreadAnswers } from './unread.ts';

export interface HttpGatewayOptions {
  readonly service: CountingService;
  readonly clock: Clock;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** If given, every request except those for `/livez` and `/readyz` must show it. */
  readonly secret?: Secret | undefined;
  /** What pages of other origins may do. */
  readonly cors?: CorsOptions | undefined;
  /** Without a secret: names by which the server may be called, besides `localhost`, addresses and `host`; `*`: any. */
  readonly allowedHosts?: readonly string[] | undefined;
  readonly log: Log;
  readonly trail?: Trail | undefined;
  readonly version: string;
  /** Open connections of the other doors, by door. */
  readonly otherConnections?: (() => Readonly<Record<string, number>>) | undefined;
  readonly limits?: Partial<HttpLimits> | undefined;
  /** What all doors share. */
  readonly budget?: ConnectionBudget | undefined;
}

interface Parts {
  readonly app: FastifyInstance;
  readonly guard: Guard;
  readonly pendingRequests: PendingRequests;
  readonly clock: Clock;
  readonly sockets: ReadonlySet<Socket>;
  readonly connections: Connections;
  readonly unread: UnreadAnswers;
}

/** How often a closing door checks for idle connections. */
const CLOSING_CHECK_MS = 20;

export class HttpGateway {
  /** Where it listens. */
  readonly address: { readonly host: string; readonly port: number };
  readonly #app: FastifyInstance;
  readonly #guard: Guard;
  readonly #pendingRequests: PendingRequests;
  readonly #clock: Clock;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #connections: Connections;
  readonly #unread: UnreadAnswers;

  private constructor(parts: Parts) {
    this.#app = parts.app;
    this.#guard = parts.guard;
    this.#pendingRequests = parts.pendingRequests;
    this.#clock = parts.clock;
    this.#sockets = parts.sockets;
    this.#connections = parts.connections;
    this.#unread = parts.unread;
    const { address, port } = parts.app.server.address() as AddressInfo;
    this.address = { host: address, port };
  }

  /** Listens. @throws what the system says when the address cannot be had (EADDRINUSE, EACCES, ...). */
  static async open(options: HttpGatewayOptions): Promise<HttpGateway> {
    const { service, clock, trail = {}, version, secret, allowedHosts = [], otherConnections } = options;
    const log = new BoundedLog(options.log, clock);
    const patience = secret === undefined ? {} : { headersTimeoutMs: AUTHENTICATION_MS };
    const limits = { ...HTTP_LIMITS, ...patience, ...options.limits };
    const budget = options.budget ?? ConnectionBudget.ofOneDoor(clock, log);
    const turns = new Turns(clock);
    const answers = new Answers(limits.answerBytesMax, turns);
    const pendingRequests = new PendingRequests({ service, clock, turns, answers, limits, log });
    const cors = new CorsRules(options.cors ?? {});
    const guard = new Guard({ secret, cors, hosts: [...allowedHosts, options.host.toLowerCase()] });
    const sockets = new Set<Socket>();
    const open = (): Record<string, number> => ({ http: sockets.size, ...otherConnections?.() });
    const bodies = new Bodies(limits);
    const door = { service, clock, turns, answers, pendingRequests, bodies, version, connections: open };
    const { app, connections } = await buildApp({ door, guard, limits, log, cors, trail });
    acceptSockets(app, sockets, budget, connections.begin);
    const unread = new UnreadAnswers(sockets, clock, limits.silenceTimeoutMs);
    try {
      // For `localhost`, Fastify would open a second server, on ::1, whose connections nothing here would bound or
      // read.
      const host = options.host === 'localhost' ? '127.0.0.1' : options.host;
      await app.listen({ host, port: options.port });
    } catch (error) {
      pendingRequests.close();
      unread.close();
      await app.close();
      throw error;
    }
    return new HttpGateway({ app, guard, pendingRequests, clock, sockets, connections, unread });
  }

  /**
   * Stops accepting, answers accepted requests, closes each connection with its last answer. Connections still open
   * after `graceMs` are cut.
   */
  async close(graceMs: number): Promise<void> {
    const { server } = this.#app;
    this.#guard.close();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    this.#pendingRequests.closeConnections();
    this.#connections.close(this.#sockets);
    // Not every Node that is supported counts a connection as idle before its first request.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    const startedMs = this.#clock.monotonicMs();
    const check = setInterval(() => {
      if (this.#clock.monotonicMs() - startedMs < graceMs) server.closeIdleConnections();
      else for (const socket of this.#sockets) socket.destroy();
    }, CLOSING_CHECK_MS);
    await closed;
    clearInterval(check);
    this.#unread.close();
    this.#pendingRequests.close();
    await this.#app.close();
  }
}

function acceptSockets(
  { server }: FastifyInstance,
  sockets: Set<Socket>,
  budget: ConnectionBudget,
  begin: (socket: Socket) => void,
): void {
  // Node checks this for each connection, and closes it before any object is created for it.
  Object.defineProperty(server, 'maxConnections', { get: () => sockets.size + budget.left });
  server.on('drop', () => budget.refuse());
  server.on('connection', (socket: Socket) => {
    if (!budget.take()) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      budget.give();
    });
    begin(socket);
  });
}
