/** A TCP proxy in front of PostgreSQL that counts what a node asks of it: calls, and bytes in both directions. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const TYPE_BYTES = 1;
const LENGTH_BYTES = 4;
/** A simple query, or the end of an extended one: the server answers each with one ReadyForQuery. */
const CALLS = new Set(['Q', 'S'].map((letter) => letter.charCodeAt(0)));

export interface Traffic {
  readonly calls: number;
  readonly bytes: number;
}

export class CountingProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  readonly #traffic: { calls: number; bytes: number };

  private constructor(server: Server, port: number, sockets: Set<Socket>, traffic: { calls: number; bytes: number }) {
    this.#server = server;
    this.port = port;
    this.#sockets = sockets;
    this.#traffic = traffic;
  }

  static async open(target: number): Promise<CountingProxy> {
    const sockets = new Set<Socket>();
    const traffic = { calls: 0, bytes: 0 };
    const server = createServer({ noDelay: true }, (near) => {
      const far = connect({ host: '127.0.0.1', port: target, noDelay: true });
      const requests = new MessageCounter();
      near.on('data', (bytes: Buffer) => {
        traffic.bytes += bytes.length;
        traffic.calls += requests.callsIn(bytes);
      });
      far.on('data', (bytes: Buffer) => {
        traffic.bytes += bytes.length;
      });
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.pipe(other);
        // An end of either is an end of both; the node connects again.
        one
          .on('error', () => other.destroy())
          .on('close', () => {
            sockets.delete(one);
            other.destroy();
          });
      }
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    return new CountingProxy(server, port, sockets, traffic);
  }

  /** Since it was opened. */
  get traffic(): Traffic {
    return { ...this.#traffic };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Walks over the messages of one client: a type, except in the first one, and a length that includes itself. */
class MessageCounter {
  #isFirst = true;
  #header = Buffer.alloc(0);
  /** Of the message under way. */
  #left = 0;

  callsIn(bytes: Buffer): number {
    let calls = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, bytes.length - at);
        this.#left -= skipped;
        at += skipped;
        continue;
      }
      const typeBytes = this.#isFirst ? 0 : TYPE_BYTES;
      const wanted = typeBytes + LENGTH_BYTES - this.#header.length;
      this.#header = Buffer.concat([this.#header, bytes.subarray(at, at + wanted)]);
      at += wanted;
      if (this.#header.length < typeBytes + LENGTH_BYTES) return calls;
      if (!this.#isFirst && CALLS.has(this.#header[0] as number)) calls++;
      this.#left = this.#header.readUInt32BE(typeBytes) - LENGTH_BYTES;
      this.#header = Buffer.alloc(0);
      this.#isFirst = false;
    }
    return calls;
  }
}
