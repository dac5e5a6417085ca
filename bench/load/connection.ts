/** One connection of the load generator: sends a batch, counts its replies, says when all are there. */
import { connect, type Socket } from 'node:net';
import type { ReplyCounter } from './reply-counter.ts';
import type { Batch } from './stream.ts';

const READ_BYTES = 256 * 1024;
/** One for all: Node reads into it and calls back at once, before any other connection is read. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);

export interface ConnectionEvents {
  /** All replies of the batch are there. */
  readonly onBatch: (connection: Connection, batch: Batch) => void;
  /** `count` replies of a batch are there. */
  readonly onReplies: (count: number) => void;
  /** The server closed, or answered an error. */
  readonly onFailure: (error: Error) => void;
}

export class Connection {
  /** When the batch under way was sent or was due, by performance.now(). */
  startedAtMs = 0;
  readonly #events: ConnectionEvents;
  readonly #replies: ReplyCounter;
  #socket: Socket | undefined;
  #batch: Batch | undefined;
  #missing = 0;

  private constructor(replies: ReplyCounter, events: ConnectionEvents) {
    this.#replies = replies;
    this.#events = events;
  }

  static async open(port: number, replies: ReplyCounter, events: ConnectionEvents): Promise<Connection> {
    const connection = new Connection(replies, events);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (length) => {
          connection.#receive(readBuffer, length);
          return true;
        },
      },
    });
    connection.#socket = socket;
    socket.once('connect', () => resolve());
    socket.on('error', (error) => {
      reject(error);
      events.onFailure(error);
    });
    socket.on('end', () => events.onFailure(new Error('the server closed a connection of the load generator')));
    await promise;
    return connection;
  }

  /** Sends a batch. The one before must be answered. */
  send(batch: Batch): void {
    this.#batch = batch;
    this.#missing = batch.replies;
    this.#socket?.write(batch.bytes);
  }

  close(): void {
    this.#socket?.removeAllListeners('end').destroy();
  }

  #receive(bytes: Buffer, length: number): void {
    const count = this.#replies.feed(bytes, length);
    const { error } = this.#replies;
    if (error !== undefined) {
      this.#events.onFailure(new Error(`the server answered: ${error.trim()}`));
      return;
    }
    this.#missing -= count;
    this.#events.onReplies(count);
    const batch = this.#batch;
    if (this.#missing > 0 || batch === undefined) return;
    if (this.#missing < 0) {
      this.#events.onFailure(new Error('the server sent more replies than it was asked for'));
      return;
    }
    this.#batch = undefined;
    this.#events.onBatch(this, batch);
  }
}
