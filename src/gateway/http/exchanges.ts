/**
 * Requests on their way through the counting service. An exchange ties a request to the chunk that carries its
 * commands; it is taken from a pool, so that a single increment allocates little.
 *
 * A request is answered exactly once: by its completion, or, when the disk has not answered in time, with
 * `timeout`. The chunk belongs to the service until it completes, however long that takes, so an exchange
 * returns to the pool only then. What is under way is bounded: beyond it a request is `overloaded`, refused
 * before anything changed.
 */
import { Chunk, type CommandOptions, Flag, type Op } from '../../counter/chunk.ts';
import { CountingError, DONE, errorCode, KEY_TIME_REFUSALS } from '../../counter/errors.ts';
import { NAME_BYTES_MAX } from '../../counter/limits.ts';
import type { CountingService, ScanPage, ScanRequest } from '../../counter/service.ts';
import type { Clock, Timer } from '../../host/host.ts';
import type { Log } from '../log.ts';
import type { Answers } from './answers.ts';
import type { HttpLimits } from './door-limits.ts';
import { countText } from './integers.ts';
import { sendProblem } from './problems.ts';
import type { Reply } from './reply.ts';
import type { Turns, Work } from './turns.ts';

/** Exchanges kept for reuse: those of single commands, and few of batches, which keep large buffers. */
const POOL_MAX = 1024;
const BATCH_POOL_MAX = 8;
const POOLED_NAMES_BYTES_MAX = 1024 * 1024;
const DEADLINE_CHECK_MS = 1000;
/** In the answer to an update of a shared counter, and in the reads that have to see it. */
export const SESSION_HEADER = 'tallyd-session';

/** Renders and sends the answer to a chunk that was not refused. */
export type Answer = (exchange: Exchange) => void;
/** The same in steps: of a batch. */
export type AnswerSteps = () => Work<void>;

export class Exchange {
  readonly chunk = new Chunk(1);
  readonly isBatch: boolean;
  readonly #answers: Answers;
  /** The counter's name, where the answer tells it. */
  name = '';
  /** Counts as strings. */
  asStrings = false;
  /** A buffer for the names of a batch. */
  names = new Uint8Array(0);
  answer: Answer = unanswerable;
  answerSteps: AnswerSteps = unanswerable;
  deadlineMs = 0;
  /** Undefined once it has been answered. */
  reply: Reply | undefined = undefined;

  constructor(isBatch: boolean, answers: Answers) {
    this.#answers = answers;
    this.isBatch = isBatch;
  }

  /** Ties it to the request that `reply` answers. */
  tie(reply: Reply, asStrings: boolean, answer: Answer): void {
    this.#tie(reply, asStrings);
    this.answer = answer;
  }

  /** The same for a batch. */
  tieSteps(reply: Reply, asStrings: boolean, answer: AnswerSteps): void {
    this.#tie(reply, asStrings);
    this.answerSteps = answer;
  }

  #tie(reply: Reply, asStrings: boolean): void {
    this.chunk.acceptsPartial = true;
    this.reply = reply;
    this.asStrings = asStrings;
  }

  /**
   * Appends a command.
   * @throws CountingError invalid_name for text that has no UTF-8, or so long that the chunk would keep a large buffer.
   */
  push(op: Op, name: string, amount?: bigint, options?: CommandOptions): void {
    if (!isText(name)) throw new CountingError('invalid_name');
    this.chunk.pushName(op, name, amount, options);
  }

  /** The outcome column `value` of a command as JSON; null where only this replica's part of it is known. */
  valueText(i: number): string {
    if (this.chunk.hasFlag(i, Flag.partial)) return 'null';
    return countText(this.chunk.value, 2 * i, this.asStrings);
  }

  /** What follows a count where only this replica's part of it is known; otherwise nothing. */
  partField(i: number): string {
    if (!this.chunk.hasFlag(i, Flag.partial)) return '';
    return `,"own":${countText(this.chunk.value, 2 * i, this.asStrings)}`;
  }

  /** How recent what is told of a shared counter is; nothing where everything is decided here. */
  get asOfField(): string {
    const { asOfMs } = this.chunk;
    return asOfMs === 0 ? '' : `,"asOf":"${new Date(asOfMs).toISOString()}"`;
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
    if (this.chunk.sessionToken !== '') reply.header(SESSION_HEADER, this.chunk.sessionToken);
    this.#answers.sendJson(reply, json);
  }
}

/** Whether a text can be a name: it has UTF-8, and not obviously too much of it. The service looks closer. */
export function isText(name: string): boolean {
  return name.length <= NAME_BYTES_MAX && name.isWellFormed();
}

function unanswerable(): never {
  throw new Error('an exchange was submitted without an answer');
}

export interface ExchangesOptions {
  readonly service: CountingService;
  readonly clock: Clock;
  readonly turns: Turns;
  readonly answers: Answers;
  readonly limits: HttpLimits;
  readonly log: Log;
}

export class Exchanges {
  readonly #service: CountingService;
  readonly #clock: Clock;
  readonly #turns: Turns;
  readonly #answers: Answers;
  readonly #limits: HttpLimits;
  readonly #log: Log;
  readonly #pool: Exchange[] = [];
  readonly #batchPool: Exchange[] = [];
  /** In the order of their deadlines. */
  readonly #waiting = new Set<Exchange>();
  #commandsUnderWay = 0;
  #scansUnderWay = 0;
  #timer: Timer;

  constructor(options: ExchangesOptions) {
    const { service, clock, turns, answers, limits, log } = options;
    this.#turns = turns;
    this.#answers = answers;
    this.#service = service;
    this.#clock = clock;
    this.#limits = limits;
    this.#log = log;
    this.#timer = this.#checkDeadlinesLater();
  }

  /** An empty exchange for a request. One that is never submitted is simply forgotten. */
  begin(reply: Reply, answer: Answer, asStrings: boolean): Exchange {
    const exchange = this.#pool.pop() ?? this.#create(false);
    exchange.tie(reply, asStrings, answer);
    return exchange;
  }

  /** The same for a batch, which is read before it is tied to its request. */
  beginBatch(): Exchange {
    return this.#batchPool.pop() ?? this.#create(true);
  }

  /** Hands the exchange's chunk to the service. @throws CountingError overloaded */
  submit(exchange: Exchange): void {
    const { chunk } = exchange;
    this.#admit(chunk.count);
    exchange.deadlineMs = this.#clock.monotonicMs() + this.#limits.answerTimeoutMs;
    this.#waiting.add(exchange);
    this.#service.submit(chunk);
  }

  /**
   * Waits for a page of a listing, within the same bounds and the same deadline.
   * @throws CountingError overloaded, timeout, and what the service says
   */
  async scan(request: ScanRequest): Promise<ScanPage> {
    this.#admit(1);
    this.#scansUnderWay++;
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.schedule(this.#limits.answerTimeoutMs, () => reject(new CountingError('timeout')));
    });
    const page = this.#service.scan(request).finally(() => {
      this.#commandsUnderWay--;
      this.#scansUnderWay--;
      timer?.cancel();
    });
    return Promise.race([page, late]);
  }

  /** Answers an exchange that has nothing for the service to do. */
  answerAtOnce(exchange: Exchange): void {
    this.#answerInSteps(exchange, 0);
  }

  /** What is under way is answered, and its connections end with the answers. */
  closeConnections(): void {
    for (const { reply } of this.#waiting) reply?.header('connection', 'close');
  }

  /** Stops looking after deadlines. */
  close(): void {
    this.#timer.cancel();
  }

  #admit(commands: number): void {
    const { commandsUnderWayMax, requestsUnderWayMax } = this.#limits;
    const requests = this.#waiting.size + this.#scansUnderWay;
    if (this.#commandsUnderWay + commands > commandsUnderWayMax || requests >= requestsUnderWayMax) {
      throw new CountingError('overloaded', undefined, { retryAfterMs: 1000 });
    }
    this.#commandsUnderWay += commands;
  }

  #create(isBatch: boolean): Exchange {
    const exchange = new Exchange(isBatch, this.#answers);
    exchange.chunk.complete = () => this.#settle(exchange);
    return exchange;
  }

  #settle(exchange: Exchange): void {
    const { chunk } = exchange;
    this.#waiting.delete(exchange);
    if (exchange.isBatch) {
      this.#answerInSteps(exchange, chunk.count);
      return;
    }
    this.#commandsUnderWay -= chunk.count;
    // Thrown from here, an error would land in the engine, in the middle of other people's completions.
    try {
      if (exchange.reply !== undefined) answerTo(exchange, exchange.reply);
    } catch (error) {
      this.#unrendered(exchange, error);
    }
    this.#recycle(exchange);
  }

  /** @param commands are under way until it is answered. */
  #answerInSteps(exchange: Exchange, commands: number): void {
    this.#turns.run(answerSteps(exchange), (error) => {
      this.#commandsUnderWay -= commands;
      if (error !== undefined) this.#unrendered(exchange, error);
      this.#recycle(exchange);
    });
  }

  #unrendered(exchange: Exchange, error: unknown): void {
    this.#log.error({ err: error }, 'an answer could not be rendered');
    if (exchange.reply?.sent === false) sendProblem(exchange.reply, 'internal');
  }

  #recycle(exchange: Exchange): void {
    exchange.chunk.reset();
    exchange.reply = undefined;
    exchange.answer = unanswerable;
    exchange.answerSteps = unanswerable;
    exchange.name = '';
    if (exchange.names.length > POOLED_NAMES_BYTES_MAX) exchange.names = new Uint8Array(0);
    const pool = exchange.isBatch ? this.#batchPool : this.#pool;
    if (pool.length < (exchange.isBatch ? BATCH_POOL_MAX : POOL_MAX)) pool.push(exchange);
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

function* answerSteps(exchange: Exchange): Work<void> {
  if (exchange.reply === undefined) return;
  if (exchange.chunk.refusal === DONE) yield* exchange.answerSteps();
  else answerTo(exchange, exchange.reply);
}

function answerTo(exchange: Exchange, reply: Reply): void {
  const { chunk } = exchange;
  if (chunk.refusal === DONE) {
    exchange.answer(exchange);
  } else {
    const { retryAfterMs, overlap, appliedAtMs } = chunk;
    sendProblem(reply, errorCode(chunk.refusal), undefined, {
      retryAfterMs: retryAfterMs || undefined,
      overlap: overlap || undefined,
      nowMs: KEY_TIME_REFUSALS.has(chunk.refusal) ? appliedAtMs : undefined,
    });
  }
}

/** Wraps the answer to a single command: when that was refused, its problem is the answer. */
export function single(answer: Answer): Answer {
  return (exchange) => {
    const { chunk, reply } = exchange;
    if (chunk.code[0] === DONE) answer(exchange);
    else if (reply !== undefined) {
      if (chunk.replayed) reply.header('idempotency-replayed', 'true');
      const { asStrings } = exchange;
      const retryAfterMs = chunk.retryAfterMs || undefined;
      sendProblem(reply, errorCode(chunk.code[0]), undefined, { retryAfterMs, standing: chunk.standing(0), asStrings });
    }
  };
}
