/**
 * Requests on their way through the counting service. A pending request ties a request to the chunk that carries its
 * commands; it is taken from a pool, so that a single increment allocates little.
 *
 * A request is answered exactly once: by its completion, or, when the disk has not answered in time, with
 * `timeout`. The chunk belongs to the service until it completes, however long that takes, so a pending request
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

/** Pending requests kept for reuse: those of single commands, and few of batches, which keep large buffers. */
const POOL_MAX = 1024;
const BATCH_POOL_MAX = 8;
const POOLED_NAMES_BYTES_MAX = 1024 * 1024;
const TIMEOUT_CHECK_MS = 1000;
/** In the answer to an update of a shared counter, and in the reads that have to see it. */
export const SESSION_HEADER = 'tallyd-session';

/** Renders and sends the answer to a chunk that was not refused. */
export type Answer = (pending: PendingRequest) => void;
/** The same in steps: of a batch. */
export type AnswerSteps = () => Work<void>;

export class PendingRequest {
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
  timesOutAtMs = 0;
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
  throw new Error('a pending request was submitted without an answer');
}

export interface PendingRequestsOptions {
  readonly service: CountingService;
  readonly clock: Clock;
  readonly turns: Turns;
  readonly answers: Answers;
  readonly limits: HttpLimits;
  readonly log: Log;
}

export class PendingRequests {
  readonly #service: CountingService;
  readonly #clock: Clock;
  readonly #turns: Turns;
  readonly #answers: Answers;
  readonly #limits: HttpLimits;
  readonly #log: Log;
  readonly #pool: PendingRequest[] = [];
  readonly #batchPool: PendingRequest[] = [];
  /** In the order in which they time out. */
  readonly #waiting = new Set<PendingRequest>();
  #commandsUnderWay = 0;
  #scansUnderWay = 0;
  #timer: Timer;

  constructor(options: PendingRequestsOptions) {
    const { service, clock, turns, answers, limits, log } = options;
    this.#turns = turns;
    this.#answers = answers;
    this.#service = service;
    this.#clock = clock;
    this.#limits = limits;
    this.#log = log;
    this.#timer = this.#checkTimeoutsLater();
  }

  /** An empty pending request for a request. One that is never submitted is simply forgotten. */
  begin(reply: Reply, answer: Answer, asStrings: boolean): PendingRequest {
    const pending = this.#pool.pop() ?? this.#create(false);
    pending.tie(reply, asStrings, answer);
    return pending;
  }

  /** The same for a batch, which is read before it is tied to its request. */
  beginBatch(): PendingRequest {
    return this.#batchPool.pop() ?? this.#create(true);
  }

  /** Hands the pending request's chunk to the service. @throws CountingError overloaded */
  submit(pending: PendingRequest): void {
    const { chunk } = pending;
    this.#admit(chunk.count);
    pending.timesOutAtMs = this.#clock.monotonicMs() + this.#limits.answerTimeoutMs;
    this.#waiting.add(pending);
    this.#service.submit(chunk);
  }

  /**
   * Waits for a page of a listing, within the same bounds and the same time limit.
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

  /** Answers a pending request that has nothing for the service to do. */
  answerAtOnce(pending: PendingRequest): void {
    this.#answerInSteps(pending, 0);
  }

  /** What is under way is answered, and its connections end with the answers. */
  closeConnections(): void {
    for (const { reply } of this.#waiting) reply?.header('connection', 'close');
  }

  /** Stops looking for requests that have timed out. */
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

  #create(isBatch: boolean): PendingRequest {
    const pending = new PendingRequest(isBatch, this.#answers);
    pending.chunk.complete = () => this.#settle(pending);
    return pending;
  }

  #settle(pending: PendingRequest): void {
    const { chunk } = pending;
    this.#waiting.delete(pending);
    if (pending.isBatch) {
      this.#answerInSteps(pending, chunk.count);
      return;
    }
    this.#commandsUnderWay -= chunk.count;
    // Thrown from here, an error would land in the engine, in the middle of other people's completions.
    try {
      if (pending.reply !== undefined) answerTo(pending, pending.reply);
    } catch (error) {
      this.#unrendered(pending, error);
    }
    this.#recycle(pending);
  }

  /** @param commands are under way until it is answered. */
  #answerInSteps(pending: PendingRequest, commands: number): void {
    this.#turns.run(answerSteps(pending), (error) => {
      this.#commandsUnderWay -= commands;
      if (error !== undefined) this.#unrendered(pending, error);
      this.#recycle(pending);
    });
  }

  #unrendered(pending: PendingRequest, error: unknown): void {
    this.#log.error({ err: error }, 'an answer could not be rendered');
    if (pending.reply?.sent === false) sendProblem(pending.reply, 'internal');
  }

  #recycle(pending: PendingRequest): void {
    pending.chunk.reset();
    pending.reply = undefined;
    pending.answer = unanswerable;
    pending.answerSteps = unanswerable;
    pending.name = '';
    if (pending.names.length > POOLED_NAMES_BYTES_MAX) pending.names = new Uint8Array(0);
    const pool = pending.isBatch ? this.#batchPool : this.#pool;
    if (pool.length < (pending.isBatch ? BATCH_POOL_MAX : POOL_MAX)) pool.push(pending);
  }

  #checkTimeoutsLater(): Timer {
    return this.#clock.schedule(Math.min(TIMEOUT_CHECK_MS, this.#limits.answerTimeoutMs), () => {
      this.#timer = this.#checkTimeoutsLater();
      this.#checkTimeouts();
    });
  }

  #checkTimeouts(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const pending of this.#waiting) {
      if (pending.timesOutAtMs > nowMs) return;
      this.#waiting.delete(pending);
      if (pending.reply !== undefined) sendProblem(pending.reply, 'timeout');
      pending.reply = undefined;
    }
  }
}

function* answerSteps(pending: PendingRequest): Work<void> {
  if (pending.reply === undefined) return;
  if (pending.chunk.refusal === DONE) yield* pending.answerSteps();
  else answerTo(pending, pending.reply);
}

function answerTo(pending: PendingRequest, reply: Reply): void {
  const { chunk } = pending;
  if (chunk.refusal === DONE) {
    pending.answer(pending);
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
  return (pending) => {
    const { chunk, reply } = pending;
    if (chunk.code[0] === DONE) answer(pending);
    else if (reply !== undefined) {
      if (chunk.replayed) reply.header('idempotency-replayed', 'true');
      const { asStrings } = pending;
      const retryAfterMs = chunk.retryAfterMs || undefined;
      sendProblem(reply, errorCode(chunk.code[0]), undefined, { retryAfterMs, standing: chunk.standing(0), asStrings });
    }
  };
}
