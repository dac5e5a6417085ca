/**
 * The line to Redis: carries commands, tries again what may be tried again, and ends every call in time.
 *
 * - A call of the store has one time limit. What a server refuses for now (a slot on the move, a failover under way) or
 *   what fell with its connection is tried again until then, but a compare-and-set that may have happened is not: its
 *   second answer would be no.
 * - A connection that failed is replaced for whoever comes next, at most every `RENEWAL_MS`; calls on it go on to
 *   their end, for in a cluster the other servers still answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError, StoreRefusal, UnknownStore } from '../slot-store.ts';
import type { Call } from './call.ts';
import { messageOf, type RedisConnection } from './connection.ts';
import { UNKNOWN } from './scripts.ts';

const RENEWAL_MS = 100;
const FIRST_PAUSE_MS = 5;
const PAUSE_MS_MAX = 200;

/** What a server answers that will be otherwise soon. */
const PASSING = /^(TRYAGAIN|CLUSTERDOWN|LOADING|BUSY|MASTERDOWN|NOREPLICAS|MOVED|ASK|UNBLOCKED|READONLY) /;
/** An answer of a server: a code in capitals, and text. Everything else went wrong on the way. */
const ANSWER = /^[A-Z]+ /;
/** The command has not left. */
const UNSENT = /^The client is (closed|offline)|ECONNREFUSED/;

export interface LineOptions {
  readonly connect: () => Promise<RedisConnection>;
  readonly callMs: number;
  /** Takes secrets out of a message. */
  readonly redact: (message: string) => string;
}

export class RedisLine {
  readonly #options: LineOptions;
  readonly #open = new Set<RedisConnection>();
  /** How to end the calls under way. */
  readonly #calls = new Set<(error: Error) => void>();
  #current: Promise<RedisConnection> | undefined;
  #connectedAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  /** Runs `work`, and rejects with a StoreError when it fails or takes too long. */
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
      // Whoever does not answer at all is asked again on a connection of its own.
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

  /** Ends connections and calls. One that is only now being made ends itself, see #connect: it may take for ever. */
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

  /** Nobody takes it any more; whoever has it may finish. */
  #retire(connection: Promise<RedisConnection> | undefined): void {
    if (connection === undefined || connection !== this.#current) return;
    this.#current = undefined;
    const end = async () => {
      const old = await connection;
      await sleep(this.#options.callMs, undefined, { ref: false });
      if (this.#open.delete(old)) old.end();
    };
    end().catch(() => {
      // It was never made, and whoever asked for it has been told.
    });
  }
}
