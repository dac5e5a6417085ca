/**
 * Requests on their way through the counting service. An exchange ties a request to the chunk that carries its
 * commands; it is taken from a pool, so that a single increment allocates little.
 *
 * A request is answered exactly once: by its completion, or, when the disk has not answered in time, with
 * `timeout`. The chunk belongs to the service until it completes, however long that takes, so an exchange
 * returns to the pool only then. What is under way is bounded: beyond it a request is `overloaded`, refused
 * before anything changed.
 */
import type { FastifyReply } from 'fastify';
import { Chunk, type CommandOptions, type Op } from '../../counter/chunk.ts';
import { CountingError, DONE, errorCode } from '../../counter/errors.ts';
import type { CountingService } from '../../counter/service.ts';
import type { Clock, Timer } from '../../host/host.ts';
import type { HttpLimits } from './door-limits.ts';
import { countText } from './integers.ts';
import type { Log } from './log.ts';
import { sendProblem } from './problems.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';
/** Exchanges kept for reuse: those of single commands, and those that a batch has grown. */
const POOL_MAX = 1024;
const LARGE_POOL_MAX = 4;
const LARGE_COMMANDS = 64;
const LARGE_NAMES_BYTES_MAX = 1024 * 1024;
const DEADLINE_CHECK_MS = 1000;

/** Renders and sends the answer to a chunk that was not refused. */
export type Answer = (exchange: Exchange) => void;

export class Exchange {
  readonly chunk = new Chunk(1);
  /** The counter's name, where the answer tells it. */
  name = '';
  /** Counts as strings. */
  asStrings = false;
  /** A buffer for the names of a batch. */
  names = new Uint8Array(0);
  answer: Answer = unanswerable;
  deadlineMs = 0;
  /** Undefined once it has been answered. */
  reply: FastifyReply | undefined = undefined;

  /** Appends a command. @throws CountingError invalid_name for text that has no UTF-8. */
  push(op: Op, name: string, amount?: bigint, options?: CommandOptions): void {
    if (!name.isWellFormed()) throw new CountingError('invalid_name', 'the counter name is not valid UTF-8');
    this.chunk.pushName(op, name, amount, options);
  }

  /** The outcome column `value` of a command as JSON. */
  valueText(i: number): string {
    return countText(this.chunk.value, 2 * i, this.asStrings);
  }

  /** The outcome column `other` of a command as JSON. */
  otherText(i: number): string {
    return countText(this.chunk.other, 2 * i, this.asStrings);
  }

  /** Answers with JSON. */
  send(json: string | Buffer): void {
    const { reply } = this;
    if (reply === undefined) return;
    if (this.chunk.replayed) reply.header('idempotency-replayed', 'true');
    reply.header('content-type', JSON_TYPE).send(json);
  }
}

function unanswerable(): void {
  throw new Error('an exchange was submitted without an answer');
}

export class Exchanges {
  readonly #service: CountingService;
  readonly #clock: Clock;
  readonly #limits: HttpLimits;
  readonly #log: Log;
  readonly #pool: Exchange[] = [];
  readonly #largePool: Exchange[] = [];
  /** In the order of their deadlines. */
  readonly #waiting = new Set<Exchange>();
  #commandsUnderWay = 0;
  #timer: Timer;

  constructor(service: CountingService, clock: Clock, limits: HttpLimits, log: Log) {
    this.#service = service;
    this.#clock = clock;
    this.#limits = limits;
    this.#log = log;
    this.#timer = this.#checkDeadlinesLater();
  }

  /** An empty exchange for a request. One that is never submitted is simply forgotten. */
  begin(reply: FastifyReply, answer: Answer, asStrings: boolean): Exchange {
    return this.#prepare(this.#pool.pop(), reply, answer, asStrings);
  }

  /** The same for a batch, which sets its `answer` itself. */
  beginLarge(reply: FastifyReply, asStrings: boolean): Exchange {
    return this.#prepare(this.#largePool.pop(), reply, unanswerable, asStrings);
  }

  /** Hands the exchange's chunk to the service. @throws CountingError overloaded */
  submit(exchange: Exchange): void {
    const { chunk } = exchange;
    const { commandsUnderWayMax, requestsUnderWayMax } = this.#limits;
    const isFull = this.#commandsUnderWay + chunk.count > commandsUnderWayMax;
    if (isFull || this.#waiting.size >= requestsUnderWayMax) {
      throw new CountingError('overloaded', undefined, { retryAfterMs: 1000 });
    }
    this.#commandsUnderWay += chunk.count;
    exchange.deadlineMs = this.#clock.monotonicMs() + this.#limits.answerTimeoutMs;
    this.#waiting.add(exchange);
    this.#service.submit(chunk);
  }

  /** Answers an exchange that has nothing for the service to do. */
  answerAtOnce(exchange: Exchange): void {
    exchange.answer(exchange);
    this.#recycle(exchange);
  }

  /** What is under way is answered, and its connections end with the answers. */
  closeConnections(): void {
    for (const { reply } of this.#waiting) reply?.header('connection', 'close');
  }

  /** Stops looking after deadlines. */
  close(): void {
    this.#timer.cancel();
  }

  #prepare(pooled: Exchange | undefined, reply: FastifyReply, answer: Answer, asStrings: boolean): Exchange {
    const exchange = pooled ?? this.#create();
    exchange.reply = reply;
    exchange.answer = answer;
    exchange.asStrings = asStrings;
    return exchange;
  }

  #create(): Exchange {
    const exchange = new Exchange();
    exchange.chunk.complete = () => this.#settle(exchange);
    return exchange;
  }

  #settle(exchange: Exchange): void {
    const { chunk } = exchange;
    this.#waiting.delete(exchange);
    this.#commandsUnderWay -= chunk.count;
    // Thrown from here, an error would land in the engine, in the middle of other people's completions.
    try {
      if (exchange.reply !== undefined) answerTo(exchange, exchange.reply);
    } catch (error) {
      this.#log.error({ err: error }, 'an answer could not be rendered');
      if (exchange.reply?.sent === false) sendProblem(exchange.reply, 'internal');
    }
    this.#recycle(exchange);
  }

  #recycle(exchange: Exchange): void {
    const isLarge = exchange.chunk.count > LARGE_COMMANDS;
    exchange.chunk.reset();
    exchange.reply = undefined;
    exchange.answer = unanswerable;
    exchange.name = '';
    if (exchange.names.length > LARGE_NAMES_BYTES_MAX) exchange.names = new Uint8Array(0);
    const pool = isLarge ? this.#largePool : this.#pool;
    if (pool.length < (isLarge ? LARGE_POOL_MAX : POOL_MAX)) pool.push(exchange);
  }

  #checkDeadlinesLater(): Timer {
    return this.#clock.schedule(Math.min(DEADLINE_CHECK_MS, this.#limits.answerTimeoutMs), () => {
      this.#timer = this.#checkDeadlinesLater();
      this.#checkDeadlines();
    });
  }

  #checkDeadlines(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const exchange of this.#waiting) {
      if (exchange.deadlineMs > nowMs) return;
      this.#waiting.delete(exchange);
      if (exchange.reply !== undefined) sendProblem(exchange.reply, 'timeout');
      exchange.reply = undefined;
    }
  }
}

function answerTo(exchange: Exchange, reply: FastifyReply): void {
  const { chunk } = exchange;
  if (chunk.refusal === DONE) {
    exchange.answer(exchange);
  } else {
    sendProblem(reply, errorCode(chunk.refusal), undefined, { retryAfterMs: chunk.retryAfterMs || undefined });
  }
}

/** Wraps the answer to a single command: when that was refused, its problem is the answer. */
export function single(answer: Answer): Answer {
  return (exchange) => {
    const { chunk, reply } = exchange;
    if (chunk.code[0] === DONE) answer(exchange);
    else if (reply !== undefined) {
      if (chunk.replayed) reply.header('idempotency-replayed', 'true');
      sendProblem(reply, errorCode(chunk.code[0]), undefined, { retryAfterMs: chunk.retryAfterMs || undefined });
    }
  };
}
