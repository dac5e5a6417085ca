/**
 * The line to Redis: sends commands, retries what may be retried, and ends every call in time.
 *
 * - A call of the store has one time limit. A command that a server refuses temporarily (a moving slot, a running
 *   failover), or whose connection broke, is retried until then. A compare-and-set that may have happened is not: its
 *   second answer would be no.
 * - A failed connection is replaced for the next caller, at most every `RENEWAL_MS`; its pending calls continue,
 *   because in a cluster the other servers still answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError, StoreRefusal, UnknownStore } from '../slot-store.ts';
import type { Call } from './call.ts';
import { messageOf, type RedisConnection } from './connection.ts';
import { UNKNOWN } from './scripts.ts';

const RENEWAL_MS = 100;
const FIRST_PAUSE_MS = 5;
const PAUSE_MS_MAX = 200;

/** Temporary error answers of a server. */
const PASSING = /^(TRYAGAIN|CLUSTERDOWN|LOADING|BUSY|MASTERDOWN|NOREPLICAS|MOVED|ASK|UNBLOCKED|READONLY) /;
/** A server's error answer: a code in capitals, and text. Any other error is one of the connection. */
const ANSWER = /^[A-Z]+ /;
/** The command has not left. */
const UNSENT = /^The client is (closed|offline)|ECONNREFUSED/;

export interface LineOptions {
  readonly connect: () => Promise<RedisConnection>;
  readonly callMs: number;
  /** Removes secrets from a message. */
  readonly redact: (message: string) => string;
}

export class RedisLine {
  readonly #options: LineOptions;
  readonly #open = new Set<RedisConnection>();
  /** How to end the pending calls. */
  readonly #calls = new Set<(error: Error) => void>();
  #current: Promise<RedisConnection> | undefined;
  #connectedAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  /** Runs `work`, and rejects with a StoreError if it fails or takes too long. */
  async call<Answer>(work: (call: Call) => Promise<Answer>): Promise<Answer> {
    const state = { isOver: false, trouble: 'no answer' };
    const call: Call = {
      send: (key, command, isRepeatable = true) =>
        this.#carry(state, isRepeatable, (connection) => connection.send(key, command)),
      sendToMasters: (command, verify) =>
        this.#carry(state, true, async (connection) => {
          const answers = await connection.sendToMasters(command);
          verify?.(answers);
          return answers;
        }),
    };
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      state.isOver = true;
      // A server that does not answer at all is retried on a new connection.
      this.#retire(this.#current);
      reject(new Error(`not within ${this.#options.callMs} ms: ${state.trouble}`));
    }, this.#options.callMs);
    this.#calls.add(reject);
    try {
      return await Promise.race([work(call), late]);
    } catch (error) {
      if (error instanceof StoreRefusal || error instanceof StoreError) throw error;
      if (messageOf(error).startsWith(UNKNOWN))
        throw new UnknownStore('redis: another store is there, or it lost data');
      throw new StoreError(`redis: ${this.#options.redact(messageOf(error))}`);
    } finally {
      state.isOver = true;
      clearTimeout(timer);
      this.#calls.delete(reject);
    }
  }

  /**
   * Ends connections and calls. A connection that is still being opened ends itself, see #connect: waiting for it could
   * take for ever.
   */
  close(): void {
    this.#isClosed = true;
    this.#current = undefined;
    for (const connection of this.#open) connection.end();
    this.#open.clear();
    for (const end of this.#calls) end(new Error('the store is closed'));
  }

  async #carry<Answer>(
    state: { isOver: boolean; trouble: string },
    isRepeatable: boolean,
    work: (connection: RedisConnection) => Promise<Answer>,
  ): Promise<Answer> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const current = this.#connection();
      let isSent = false;
      try {
        const connection = await current;
        isSent = true;
        return await work(connection);
      } catch (error) {
        const message = messageOf(error);
        state.trouble = message;
        if (this.#isClosed || state.isOver || error instanceof StoreRefusal) throw error;
        if (ANSWER.test(message) && !PASSING.test(message)) throw error;
        if (!ANSWER.test(message) || message.startsWith('READONLY ')) this.#retire(current);
        if (isSent && !isRepeatable && !ANSWER.test(message) && !UNSENT.test(message)) throw error;
        await sleep(pauseMs * (0.5 + Math.random()));
        if (state.isOver) throw error;
      }
    }
  }

  #connection(): Promise<RedisConnection> {
    if (this.#isClosed) return Promise.reject(new Error('the store is closed'));
    this.#current ??= this.#connect();
    return this.#current;
  }

  async #connect(): Promise<RedisConnection> {
    const earliest = this.#connectedAtMs + RENEWAL_MS;
    const wait = earliest - performance.now();
    if (wait > 0) await sleep(wait);
    this.#connectedAtMs = performance.now();
    const connection = await this.#options.connect();
    if (this.#isClosed) {
      connection.end();
      throw new Error('the store is closed');
    }
    this.#open.add(connection);
    return connection;
  }

  /** It is no longer handed out; current users may finish. */
  #retire(connection: Promise<RedisConnection> | undefined): void {
    if (connection === undefined || connection !== this.#current) return;
    this.#current = undefined;
    const end = async () => {
      const old = await connection;
      await sleep(this.#options.callMs, undefined, { ref: false });
      if (this.#open.delete(old)) old.end();
    };
    end().catch(() => {
      // It was never opened, and its caller has been notified.
    });
  }
}
