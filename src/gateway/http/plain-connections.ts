/**
 * Connections begin here, ahead of Node's HTTP parser and of Fastify, which together cost more than counting: as long
 * as a client sends nothing but plain increments (`plain-increment.ts`), one after the other, it is answered without
 * them. At the first request that is anything else, its connection goes to Node's HTTP server for good, with every byte
 * that has not been answered, and nobody can tell the difference: what HTTP is, and what is refused, is decided there.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Op } from '../../counter/chunk.ts';
import { highLane } from '../../counter/int64.ts';
import { answerAdd } from './counter-routes.ts';
import type { HttpLimits } from './door-limits.ts';
import type { Exchanges } from './exchanges.ts';
import type { Guard } from './guard.ts';
import type { Log } from './log.ts';
import { PlainIncrement } from './plain-increment.ts';
import { PlainReply } from './plain-reply.ts';
import { refuseConnection, sendError } from './problems.ts';

const NOTHING = Buffer.alloc(0);

export interface PlainOptions {
  readonly server: Server;
  readonly exchanges: Exchanges;
  readonly guard: Guard;
  readonly limits: HttpLimits;
  readonly log: Log;
  /** Where a connection goes, with what it has delivered; `isEnded`: that was all. */
  readonly leave: (socket: Socket, bytes: Buffer, isEnded: boolean) => void;
}

export class PlainConnections {
  readonly options: PlainOptions;
  readonly increment: PlainIncrement;
  readonly #connections = new Set<PlainConnection>();

  constructor(options: PlainOptions) {
    this.options = options;
    this.increment = new PlainIncrement(options.guard);
  }

  /** Begins with a connection. */
  readonly begin = (socket: Socket): void => {
    this.#connections.add(new PlainConnection(socket, this));
  };

  /** Closes the connections that wait for nothing; the others close with their answer. */
  close(): void {
    for (const connection of this.#connections) connection.closeIdle();
  }

  forget(connection: PlainConnection): void {
    this.#connections.delete(connection);
  }
}

class PlainConnection {
  readonly #socket: Socket;
  readonly #all: PlainConnections;
  readonly #reply: PlainReply;
  /** What came before the request ahead of it was answered. */
  #early: Buffer | undefined;
  /** The client has closed its half. */
  #isEnded = false;
  #isFresh = true;

  constructor(socket: Socket, all: PlainConnections) {
    this.#socket = socket;
    this.#all = all;
    const { keepAliveTimeoutMs, headersTimeoutMs } = all.options.limits;
    this.#reply = new PlainReply(socket, keepAliveTimeoutMs, this.#onAnswered);
    socket.setTimeout(headersTimeoutMs);
    socket.on('data', this.#onData).on('end', this.#onEnd).on('timeout', this.#onTimeout);
    socket.on('error', this.#onError).on('close', this.#onClose);
  }

  closeIdle(): void {
    if (this.#reply.sent && this.#early === undefined) this.#socket.destroy();
  }

  readonly #onData = (bytes: Buffer): void => {
    if (!this.#socket.writable) return;
    if (this.#reply.sent) {
      if (!this.#serve(bytes)) this.#leave(bytes);
    } else {
      this.#early = this.#early === undefined ? bytes : Buffer.concat([this.#early, bytes]);
      this.#socket.pause();
    }
  };

  /** Hands a plain increment to the service; false: it is none. */
  #serve(bytes: Buffer): boolean {
    const { increment, options } = this.#all;
    // A client that does not read its answers is Node's.
    if (this.#socket.writableLength > 0 || !increment.read(bytes)) return false;
    const { nameStart, nameEnd, amount } = increment;
    const reply = this.#reply;
    reply.begin();
    const exchange = options.exchanges.begin(reply, answerAdd, false);
    exchange.name = bytes.toString('latin1', nameStart, nameEnd);
    exchange.chunk.names = bytes;
    exchange.chunk.push(Op.add, nameStart, nameEnd - nameStart, amount | 0, highLane(amount));
    try {
      options.exchanges.submit(exchange);
    } catch (error) {
      sendError(reply, error, options.log);
    }
    return true;
  }

  readonly #onAnswered = (isLast: boolean): void => {
    if (isLast) {
      this.#socket.destroySoon();
    } else if (this.#early !== undefined || this.#isEnded) {
      // Not from here: this is in the middle of the service's completions.
      process.nextTick(this.#leave, this.#early ?? NOTHING);
    } else if (this.#isFresh) {
      this.#isFresh = false;
      const { server, limits } = this.#all.options;
      this.#socket.setTimeout(limits.keepAliveTimeoutMs + (server.keepAliveTimeoutBuffer ?? 0));
    }
  };

  /** Goes to Node's HTTP server. */
  readonly #leave = (bytes: Buffer): void => {
    const socket = this.#socket;
    if (socket.destroyed) return;
    this.#onClose();
    socket.off('data', this.#onData).off('end', this.#onEnd).off('timeout', this.#onTimeout);
    socket.off('error', this.#onError).off('close', this.#onClose);
    this.#all.options.leave(socket, bytes, this.#isEnded);
  };

  readonly #onEnd = (): void => {
    this.#isEnded = true;
    if (this.#reply.sent && this.#early === undefined) this.#socket.end();
  };

  readonly #onTimeout = (): void => {
    // Who waits for an answer gets one in time.
    if (!this.#reply.sent) return;
    if (this.#isFresh && this.#socket.writable) refuseConnection(this.#socket, 'request_timeout');
    else this.#socket.destroy();
  };

  readonly #onError = (): void => {
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#all.forget(this);
  };
}
