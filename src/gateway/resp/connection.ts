/**
 * One client. Requests are read from what has arrived into a batch, the batch's chunk goes to the counting
 * service, and when it comes back the replies are written, in one piece. One batch is under way at a time; what
 * arrives meanwhile waits, within bounds, and then becomes the next batch: so a busy client's pipeline fills the
 * chunks by itself, and order needs no bookkeeping.
 *
 * A connection ends in one way: nothing more is read as requests, the replies that are due are written, then the
 * sending side is closed. What the client still sends is thrown away until it closes too or a time has passed;
 * closing at once would make the kernel reset the connection and take replies away that the client has not read.
 */
import type { Socket } from 'node:net';
import { CountingError } from '../../counter/errors.ts';
import { CHUNK_COMMANDS_MAX, RESP_UNAUTHENTICATED_BYTES_MAX } from '../../counter/limits.ts';
import type { Batch, BatchPool } from './batch.ts';
import type { Client, CommandSpec, DoorContext } from './command.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { dispatch, findCommand, isHttp } from './dispatch.ts';
import type { DoorTurns } from './door-turns.ts';
import { readSimpleRequests } from './fast-path.ts';
import { type HeldBytes, Holding } from './held-bytes.ts';
import { Input } from './input.ts';
import type { Planned } from './replies.ts';
import type { ReplyWriter } from './reply-writer.ts';
import { Reading, type RequestReader, Unfinished } from './request-reader.ts';
import { Transport } from './transport.ts';

/** What a connection needs from its door. */
export interface ConnectionHost {
  readonly door: DoorContext;
  readonly limits: ConnectionLimits;
  readonly reader: RequestReader;
  readonly writer: ReplyWriter;
  readonly batches: BatchPool;
  readonly turns: DoorTurns;
  readonly heldBytes: HeldBytes;
  /** What sockets read into; undefined: each delivers buffers of its own. */
  readonly readBuffer: Buffer | undefined;
  /** Asks for `checkTime` about once a second, until `unwatch`. */
  watch(connection: Connection): void;
  unwatch(connection: Connection): void;
  closed(connection: Connection): void;
}

/** Output that a socket holds without having been asked to drain. */
const OUTPUT_BYTES_FREE = 64 * 1024;
/**
 * What a command takes in the columns of its chunk, which may be twice as long as they have to be, and in the plan of
 * its reply.
 */
const COMMAND_BYTES = 72;
/** A batch of so few commands is not accounted for before it is handed on. */
const BATCH_COMMANDS_FREE = 128;
/** Deliveries that wait, however short: each takes some memory. */
const DELIVERIES_MAX = 256;
/** A batch ends with so many replies when other connections wait for their turn. */
const SHARED_REPLIES = 256;

export class Connection {
  readonly client: Client;
  readonly #host: ConnectionHost;
  readonly #transport: Transport;
  readonly #socket: Socket;
  readonly #input = new Input();
  #state: 'open' | 'ending' | 'closed' = 'open';
  #underWay: Batch | undefined = undefined;
  /** Between `submit` and its return: a completion that comes then is taken when it has returned. */
  #isSubmitting = false;
  #isComplete = false;
  readonly #unfinished = new Unfinished();
  #hasProgressed = false;
  /** After a wrong secret. */
  #isPenalised = false;
  /** Has its turn later: others have had the time of this one. */
  #isDeferred = false;
  /** The client has sent its last byte, or the server wants to stop: end when everything is answered. */
  #isLast = false;
  /** Since when a request is half there, or the connection is ending; undefined: neither. */
  #waitsSinceMs: number | undefined = undefined;
  readonly #holding: Holding;

  /** @param accepted is paused. */
  constructor(host: ConnectionHost, accepted: Socket, client: Client) {
    this.#host = host;
    this.#holding = new Holding(host.heldBytes);
    this.client = client;
    this.#transport = Transport.open(accepted, host.readBuffer, this.#receive);
    const { socket } = this.#transport;
    this.#socket = socket;
    socket.on('end', () => this.finish());
    socket.on('drain', () => this.#account());
    socket.on('error', () => {
      // The peer is gone; 'close' follows.
    });
    socket.on('close', () => this.#close());
    if (!client.authenticated) host.watch(this);
  }

  /** Answers what has arrived whole, then ends. */
  finish(): void {
    if (this.#state !== 'open') return;
    this.#isLast = true;
    if (this.#isBusy) this.#pace();
    else this.#process();
  }

  /** The server stops: an idle connection ends at once, another one after its last reply. */
  stop(): void {
    if (this.#state === 'open' && !this.#isBusy && this.#input.length === 0) this.#end(() => this.cut());
    else this.finish();
  }

  /** Ends the connection at once, without the replies that are due. */
  cut(): void {
    if (this.#state === 'open') this.#state = 'ending';
    this.#socket.destroy();
  }

  /** Cuts the connection when it has been waiting for too long. */
  checkTime(nowMs: number): void {
    const { authenticationMs, lastRepliesMs, lingerMs, requestMs } = this.#host.limits;
    const { authenticated, strangerSinceMs } = this.client;
    const waitsMs = nowMs - (this.#waitsSinceMs ?? nowMs);
    if (this.#state === 'ending') {
      if (waitsMs >= (this.#socket.writableFinished ? lingerMs : lastRepliesMs)) this.cut();
    } else if (!authenticated && nowMs - strangerSinceMs >= authenticationMs) {
      this.cut();
    } else if (this.#underWay === undefined && !this.#isDeferred && waitsMs >= requestMs) {
      this.#cutFor('a request was not complete in time');
    } else if (authenticated && this.#waitsSinceMs === undefined) {
      this.#host.unwatch(this);
    }
  }

  /** Nothing is read as requests right now; what arrives waits. */
  get #isBusy(): boolean {
    return this.#underWay !== undefined || this.#isPenalised || this.#isDeferred;
  }

  #cutFor(reason: string): void {
    this.#host.door.log.warn({ client: this.client.peer, reason }, 'connection cut');
    this.cut();
  }

  readonly #receive = (bytes: Buffer, length: number, lent: boolean): void => {
    if (this.#state !== 'open') return;
    if (!lent) this.#input.receive(bytes);
    else if (this.#isBusy) this.#input.receive(Buffer.from(bytes.subarray(0, length)));
    else this.#input.lend(bytes, length);
    if (this.#isBusy) {
      this.#pace();
      this.#account();
    } else {
      this.#process();
    }
  };

  /**
   * Reads and runs batches until one is under way, nothing whole is left, or it is others' turn; the first, if
   * `isItsTurn`.
   */
  #process(isItsTurn = false): void {
    const input = this.#input;
    const { turns } = this.#host;
    for (let batches = 0; !this.#isBusy && this.#state === 'open'; batches++) {
      const isWorthwhile = input.unreadBytes >= this.#unfinished.bytesNeeded;
      const mustYield = isWorthwhile && (turns.isOver || (batches > 0 && turns.isWantedByOthers));
      // Before anything is copied: hundreds of connections may come to this in one turn.
      if (mustYield && !(isItsTurn && batches === 0)) {
        this.#isDeferred = true;
        turns.later(this.#goOn);
        break;
      }
      input.advance();
      if (!isWorthwhile) break;
      const batch = this.#host.batches.take(this.client);
      const from = input.start;
      const task = this.#read(batch);
      if (input.start > from) this.#hasProgressed = true;
      this.#underWay = batch;
      if (task !== undefined) this.#await(task, batch);
      else if (batch.chunk.count > 0) this.#submit(batch);
      else this.#answer();
    }
    input.keep();
    if (this.#state !== 'open') return;
    if (this.#isDeferred) this.#account();
    if (this.#isBusy) this.#pace();
    else this.#rest();
  }

  readonly #goOn = (): void => {
    this.#isDeferred = false;
    if (this.#state === 'open') this.#process(true);
  };

  /** Bytes that may wait while nothing is read as requests. */
  get #readAheadMax(): number {
    if (this.#isDeferred) return 0;
    return this.client.authenticated ? this.#host.limits.unreadBytesMax : RESP_UNAUTHENTICATED_BYTES_MAX;
  }

  /** Takes more from the socket, unless enough is waiting for what is under way. */
  #pace(): void {
    const { unreadBytes, deliveries } = this.#input;
    const isEnough = this.#isBusy && (unreadBytes > this.#readAheadMax || deliveries > DELIVERIES_MAX);
    if (this.#isLast || isEnough) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** Fills the batch. @returns the promise of a command that takes time. */
  #read(batch: Batch): Promise<Planned> | undefined {
    const { client } = this;
    const { reader, turns } = this.#host;
    const { chunk, replies } = batch;
    const { bytes, end } = this.#input;
    let at = this.#input.start;
    let task: Promise<Planned> | undefined;
    let isFull = false;
    this.#input.lendNames(chunk);
    while (!isFull && !client.quitting && !client.guessedWrong) {
      if (client.authenticated && client.transaction === undefined) {
        const behind = readSimpleRequests(bytes, at, end, chunk, replies);
        if (behind > at) this.#unfinished.clear();
        at = behind;
      }
      const reading = reader.read(bytes, at, end, client.authenticated, this.#unfinished);
      if (reading === Reading.incomplete) break;
      if (reading === Reading.broken) {
        replies.error(reader.error);
        client.quitting = true;
        break;
      }
      if (isHttp(reader.request)) {
        this.#host.door.log.warn({ client: client.peer }, 'HTTP came to the RESP port: nothing of it is carried out');
        chunk.reset();
        replies.clear();
        client.quitting = true;
        break;
      }
      if (reader.request.count > 0) {
        const found = findCommand(reader.request);
        if (this.#mustWait(batch, found)) {
          reader.putBack(at);
          break;
        }
        isFull = this.#ownsBatch(batch, found);
        task = dispatch(batch, found);
        isFull ||= turns.isOver || (batch.replies.length >= SHARED_REPLIES && turns.isWantedByOthers);
      }
      at = reader.end;
    }
    this.#input.start = at;
    client.transaction?.detach(bytes);
    return task;
  }

  /** Whether the batch must run before the command can be carried out. */
  #mustWait({ chunk, isEmpty, request }: Batch, found: CommandSpec | string): boolean {
    if (typeof found === 'string' || isEmpty) return false;
    if (found.perform !== undefined) return true;
    const { transaction } = this.client;
    if (transaction === undefined) return chunk.count + found.weight(request.count) > CHUNK_COMMANDS_MAX;
    return found.name === 'exec' && chunk.count + transaction.weight > CHUNK_COMMANDS_MAX;
  }

  /**
   * Whether nothing may follow the command in its batch. Gives EXEC the names of its transaction when it has been
   * copied: it was open when the batch began, so no command in the chunk has names in the buffer being read.
   */
  #ownsBatch({ chunk }: Batch, found: CommandSpec | string): boolean {
    if (typeof found === 'string') return false;
    const { transaction } = this.client;
    if (found.name === 'exec' && transaction?.buffer !== undefined) {
      transaction.detach(this.#input.bytes);
      chunk.names = transaction.buffer;
      return true;
    }
    return found.large || found.perform !== undefined;
  }

  #submit({ chunk }: Batch): void {
    if (chunk.count > BATCH_COMMANDS_FREE) this.#account();
    if (this.#state !== 'open') {
      this.#answer();
      return;
    }
    chunk.complete = this.#complete;
    this.#isSubmitting = true;
    this.#host.door.service.submit(chunk);
    this.#isSubmitting = false;
    if (!this.#isComplete) return;
    this.#isComplete = false;
    this.#answer();
  }

  readonly #complete = (): void => {
    if (this.#isSubmitting) {
      this.#isComplete = true;
      return;
    }
    this.#answer();
    this.#process();
  };

  #await(task: Promise<Planned>, batch: Batch): void {
    const goOn = () => {
      this.#answer();
      this.#process();
    };
    void task.then(goOn, (error: unknown) => {
      const isKnown = error instanceof CountingError;
      if (!isKnown) this.#host.door.log.error({ err: error }, 'a command failed');
      batch.replies.error(isKnown ? error.entry.resp : 'ERR internal error');
      goOn();
    });
  }

  /** Writes the replies of the batch under way, now that its outcomes are known. */
  #answer(): void {
    const { batches, limits, writer } = this.#host;
    const batch = this.#underWay;
    if (batch === undefined) return;
    this.#underWay = undefined;
    if (this.#state === 'open') {
      writer.begin(this.client.protocol);
      // Unknown: the client must not take silence for an answer, so the connection ends without one.
      if (batch.replies.write(writer, batch.chunk)) writer.send(this.#transport);
      else this.client.quitting = true;
      if (this.#socket.writableLength > limits.outputBytesMax) this.#cutFor('replies are not being read');
      else if (this.client.quitting) this.#end();
      else if (this.client.guessedWrong) this.#penalise();
    }
    batches.give(batch);
  }

  /** A wrong secret: what follows is read only after a while. */
  #penalise(): void {
    this.client.guessedWrong = false;
    this.#isPenalised = true;
    this.#host.door.clock.schedule(this.#host.limits.penaltyMs, () => {
      this.#isPenalised = false;
      if (this.#state === 'open') this.#process();
    });
  }

  /** Nothing is under way, and no whole request is there. */
  #rest(): void {
    this.#input.release();
    if (this.#isLast) {
      this.#end();
      return;
    }
    this.#pace();
    if (!this.client.authenticated) this.#host.watch(this);
    if (this.#input.length === 0) this.#waitsSinceMs = undefined;
    else if (this.#hasProgressed || this.#waitsSinceMs === undefined) {
      this.#waitsSinceMs = this.#host.door.clock.monotonicMs();
      this.#host.watch(this);
    }
    this.#hasProgressed = false;
    this.#account();
  }

  /** @param sent the last reply has left; by default the client has some time to close. */
  #end(sent?: () => void): void {
    const { clock } = this.#host.door;
    this.#state = 'ending';
    this.#waitsSinceMs = clock.monotonicMs();
    this.#host.watch(this);
    this.#host.writer.flush();
    this.#socket.end(() => {
      this.#waitsSinceMs = clock.monotonicMs();
      sent?.();
    });
    this.#socket.resume();
  }

  #close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.client.transaction = undefined;
    this.#holding.is(0, false);
    this.#host.unwatch(this);
    this.#host.closed(this);
  }

  #account(): void {
    if (this.#state !== 'open') return;
    const output = Math.max(0, this.#socket.writableLength - OUTPUT_BYTES_FREE);
    const underWay = (this.#underWay?.chunk.count ?? 0) * COMMAND_BYTES;
    const held = this.#input.heldBytes + (this.client.transaction?.heldBytes ?? 0) + underWay + output;
    const isAllowed = this.#holding.is(held, !this.client.authenticated);
    if (!isAllowed) this.#cutFor('all connections together hold too many bytes');
  }
}
