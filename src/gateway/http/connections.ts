/**
 * The door's reader of connections: reads one request of each connection at a time.
 *
 * Plain increments (`plain-increment.ts`), which nearly every client sends, are answered here. At the first other
 * request, the connection goes to Node's HTTP server for good: from then on this file only splits the input into
 * requests, and Node's server interprets and refuses them. Both ways give the same answers, byte for byte.
 *
 * A handler inside of `node:http`, before Fastify, would be simpler but costs too much: an increment takes 19.3 us of
 * processor time here, including its client in the same process, and 27.0 us with a handler that only answers it (24.3
 * us if Node's parser reads the socket by itself, but then it executes everything that a client has pipelined).
 *
 * Invariants:
 * - No byte after a request is looked at before the answer to that request has left for the kernel. So the answers of a
 *   connection leave in order, each once; nothing is begun for a client that does not read; input after a last answer
 *   (`Connection: close`, HTTP/1.0, a refusal) is never executed; and an error in later input is answered after the
 *   pending answers, never instead of them.
 * - The input waiting here is what the socket delivers before it pauses, about 64 KiB.
 * - A client that has closed its sending half gets its pending answers.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Op } from '../../counter/chunk.ts';
import { highLane } from '../../counter/int64.ts';
import type { Log } from '../log.ts';
import { Boundaries } from './boundaries.ts';
import { answerAdd } from './counter-routes.ts';
import type { HttpLimits } from './door-limits.ts';
import type { PendingRequests } from './pending-requests.ts';
import type { PlainIncrement } from './plain-increment.ts';
import { PlainReply } from './plain-reply.ts';
import { refuseConnection, sendError } from './problems.ts';
import type { Turns } from './turns.ts';

const NOTHING = Buffer.alloc(0);

export interface ConnectionsOptions {
  readonly pendingRequests: PendingRequests;
  readonly turns: Turns;
  readonly limits: HttpLimits;
  readonly log: Log;
  /** Reads plain increments; undefined: all requests are Node's. */
  readonly plain: PlainIncrement | undefined;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Of a server, which hands its connections over here. */
export class Connections {
  readonly options: ConnectionsOptions;
  readonly #server: Server;
  readonly #connections = new WeakMap<Socket, Connection>();
  /** Node's own way to begin with a connection. */
  readonly #beginHttp: (socket: Socket) => void;

  /** Takes over the server's connections: from now on they are served only after `begin`. */
  constructor(server: Server, options: ConnectionsOptions) {
    this.options = options;
    this.#server = server;
    const [listener] = server.listeners('connection') as ((socket: Socket) => void)[];
    this.#beginHttp = listener.bind(server);
    server.off('connection', listener);
    const [handle] = server.listeners('request') as Handler[];
    server.off('request', handle);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#connections.get(request.socket)?.beginRequest(request, response);
      handle(request, response);
    });
  }

  /** Starts serving a connection: any socket, including TLS. */
  readonly begin = (socket: Socket): void => {
    this.#connections.set(socket, new Connection(socket, this));
  };

  /** Closes idle connections that are not Node's; the others close with their answer. */
  close(sockets: ReadonlySet<Socket>): void {
    for (const socket of sockets) this.#connections.get(socket)?.closeIdle();
  }

  /** Whether the request arriving on a connection already has its answer, or the first part of it. */
  isAnswered(socket: Socket): boolean {
    return this.#connections.get(socket)?.isAnswered === true;
  }

  /** Gives a connection to Node's HTTP server. */
  toHttp(socket: Socket): Http {
    this.#beginHttp(socket);
    return new Http(socket);
  }

  /** How long a connection may be silent between two requests. */
  get keepAliveMs(): number {
    return this.options.limits.keepAliveTimeoutMs + (this.#server.keepAliveTimeoutBuffer ?? 0);
  }
}

/** A connection of Node's HTTP server, which gets bytes from here. */
class Http {
  readonly boundaries = new Boundaries();
  /** Node's handlers for input and its end. */
  readonly parse: (bytes: Buffer) => void;
  readonly finish: () => void;
  /** The last request, and the answer to it until that has left. */
  request: IncomingMessage | undefined;
  response: ServerResponse | undefined;

  /** @param socket has just been given to Node's HTTP server, which listens. */
  constructor(socket: Socket) {
    const parse = socket.listeners('data').at(-1) as (bytes: Buffer) => void;
    const finish = socket.listeners('end').at(-1) as () => void;
    this.parse = parse.bind(socket);
    this.finish = finish.bind(socket);
    socket.off('data', parse).off('end', finish);
  }

  /** A request has arrived completely, and its answer has not left. */
  get isDue(): boolean {
    return this.response !== undefined && this.request?.complete === true;
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #all: Connections;
  /** Until it is Node's: answers its increments. */
  readonly #reply: PlainReply;
  /** Undefined until it is Node's. */
  #http: Http | undefined;
  /** Input that has not been examined. */
  #bytes: Buffer = NOTHING;
  #at = 0;
  /** An earlier answer has not left, or a turn for the next request is scheduled. */
  #isHeld = false;
  #isPaused = false;
  /** The client has closed its sending half, and this has not been handled yet. */
  #isEnded = false;
  #isFresh = true;

  constructor(socket: Socket, all: Connections) {
    this.#socket = socket;
    this.#all = all;
    const { keepAliveTimeoutMs, headersTimeoutMs } = all.options.limits;
    this.#reply = new PlainReply(socket, keepAliveTimeoutMs, this.#onSent);
    socket.setTimeout(headersTimeoutMs);
    socket.on('data', this.#receive).on('end', this.#end);
    socket.on('timeout', this.#onTimeout).on('error', this.#onError);
  }

  /** The arriving request already has its answer, or the first part of it. */
  get isAnswered(): boolean {
    return this.#http?.request?.complete === false && this.#http.response?.headersSent !== false;
  }

  /** Node has read a request's head. */
  beginRequest(request: IncomingMessage, response: ServerResponse): void {
    const http = this.#http;
    if (http === undefined) return;
    http.request = request;
    http.response = response;
    http.boundaries.begin(request);
    response.on('close', this.#onClosed);
  }

  closeIdle(): void {
    if (this.#http === undefined && !this.#isDue && this.#bytes.length === 0) this.#socket.destroy();
  }

  readonly #receive = (bytes: Buffer): void => {
    const isFirst = this.#at === this.#bytes.length;
    this.#bytes = isFirst ? bytes : Buffer.concat([this.#bytes.subarray(this.#at), bytes]);
    this.#at = 0;
    this.#goOn();
  };

  readonly #end = (): void => {
    this.#isEnded = true;
    this.#goOn();
  };

  /** An answer must leave before the next request is examined. */
  get #isDue(): boolean {
    return this.#isHeld || !this.#reply.sent || this.#http?.isDue === true;
  }

  /** Processes the input that may be processed now. */
  #goOn(): void {
    const socket = this.#socket;
    while (this.#at < this.#bytes.length && !this.#isDue) {
      // The last answer has been given: later input is ignored.
      if (!socket.writable) {
        this.#at = this.#bytes.length;
        break;
      }
      if (this.#http === undefined) this.#begin();
      else this.#parse(this.#http);
    }
    if (this.#at === this.#bytes.length) {
      this.#bytes = NOTHING;
      this.#at = 0;
      if (this.#isPaused) socket.resume();
      this.#isPaused = false;
      if (this.#isEnded && !this.#isDue) this.#finish();
    } else {
      this.#isPaused = true;
      socket.pause();
    }
  }

  /** Answers a plain increment, or gives the connection to Node. */
  #begin(): void {
    const socket = this.#socket;
    if (socket.writableLength > 0) {
      this.#isHeld = true;
      socket.write('', this.#release);
    } else if (this.#all.options.plain?.read(this.#bytes) === true) {
      const bytes = this.#bytes;
      this.#at = bytes.length;
      this.#submit(bytes, this.#all.options.plain);
    } else {
      socket.off('data', this.#receive).off('end', this.#end);
      socket.off('timeout', this.#onTimeout).off('error', this.#onError);
      this.#http = this.#all.toHttp(socket);
      socket.on('data', this.#receive).on('end', this.#end);
    }
  }

  /** Hands a plain increment to the service. */
  #submit(bytes: Buffer, { name, nameStart, nameEnd, amount }: PlainIncrement): void {
    const { pendingRequests, log } = this.#all.options;
    const reply = this.#reply;
    reply.begin();
    const pending = pendingRequests.begin(reply, answerAdd, false);
    pending.name = name;
    pending.chunk.names = bytes;
    pending.chunk.push(Op.add, nameStart, nameEnd - nameStart, amount | 0, highLane(amount));
    try {
      pendingRequests.submit(pending);
    } catch (error) {
      sendError(reply, error, log);
    }
  }

  /** Gives Node the next piece. */
  #parse({ boundaries, parse }: Http): void {
    const bytes = this.#bytes;
    const from = this.#at;
    this.#at = boundaries.next(bytes, from);
    parse(from === 0 && this.#at === bytes.length ? bytes : bytes.subarray(from, this.#at));
  }

  #finish(): void {
    this.#isEnded = false;
    if (this.#http === undefined) this.#socket.end();
    else this.#http.finish();
  }

  /** An increment has been answered. */
  readonly #onSent = (isLast: boolean): void => {
    if (isLast) {
      this.#socket.destroySoon();
      return;
    }
    if (this.#isFresh) {
      this.#isFresh = false;
      this.#socket.setTimeout(this.#all.keepAliveMs);
    }
    this.#onAnswered();
  };

  /** An answer of Node's has left. */
  readonly #onClosed = (): void => {
    if (this.#http !== undefined) this.#http.response = undefined;
    this.#onAnswered();
  };

  #onAnswered(): void {
    if (this.#at === this.#bytes.length) {
      if (this.#isEnded) this.#goOn();
      return;
    }
    // Pipelined requests wait for their turn: other connections have theirs in between.
    this.#isHeld = true;
    this.#all.options.turns.later(this.#release);
  }

  readonly #release = (): void => {
    this.#isHeld = false;
    this.#goOn();
  };

  readonly #onTimeout = (): void => {
    // A pending request has its own time limit.
    if (this.#isDue) return;
    if (this.#isFresh && this.#socket.writable) refuseConnection(this.#socket, 'request_timeout');
    else this.#socket.destroy();
  };

  readonly #onError = (): void => {
    this.#socket.destroy();
  };
}
