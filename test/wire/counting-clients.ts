// Clients that count against a real server until it goes away, and know afterwards what they have asked for and what
// was acknowledged. Client c counts in a counter of its own and adds BASE ** digit to a counter that it shares with
// others: the digits of that total name whose update was lost or counted twice.

import { connect, type Socket } from 'node:net';
import type { SeededRandom } from '../../src/std/random.ts';
import type { Address, ServerProcess } from './server-process.ts';

/** More than any client ever asks for: a digit never carries into the next. */
export const BASE = 2n ** 20n;
/** Digits of BASE that fit in 63 bits. */
export const CLIENTS_PER_TOTAL = 3;

const LINE_FEED = 10;

export abstract class CountingClient {
  /** This client's own counter; each update adds 1. */
  readonly own: string;
  /** The counter it shares. */
  readonly shared: string;
  readonly weight: bigint;
  /** Updates sent, and updates that were answered as done, since `settle`. */
  attempted = 0;
  acknowledged = 0;
  protected readonly random: SeededRandom;

  constructor(index: number, random: SeededRandom) {
    this.own = `client:${index}`;
    this.shared = `total:${Math.floor(index / CLIENTS_PER_TOTAL)}`;
    this.weight = BASE ** BigInt(index % CLIENTS_PER_TOTAL);
    this.random = random;
  }

  /** Counts up to `updatesMax` times, or until the server is gone. */
  abstract run(server: ServerProcess, updatesMax: number): Promise<void>;

  /** Asks again for what has no known outcome, where this client can. */
  async settle(_server: ServerProcess): Promise<void> {
    // Without an idempotency key asking again could count twice.
  }

  /** How many of its updates a total holds. */
  digitOf(total: bigint): bigint {
    return (total / this.weight) % BASE;
  }
}

/** Pipelines of `INCRBY total` and `INCR own` over a raw socket. */
export class RespClient extends CountingClient {
  /** One update as it is sent, and as it is acknowledged. */
  protected command(): string {
    return `${frame('INCRBY', this.shared, String(this.weight))}${frame('INCR', this.own)}`;
  }
  protected readonly acknowledgement: RegExp = /^:\d+\r\n:\d+\r\n$/;
  protected readonly linesPerUpdate: number = 2;

  async run(server: ServerProcess, updatesMax: number): Promise<void> {
    const connection = await RespConnection.open(server.resp);
    if (connection === undefined) return;
    try {
      for (let sent = 0; sent < updatesMax; ) {
        const updates = Math.min(1 + this.random.below(100), updatesMax - sent);
        this.attempted += updates;
        sent += updates;
        connection.send(this.command().repeat(updates));
        for (let i = 0; i < updates; i++) {
          const reply = await connection.lines(this.linesPerUpdate);
          if (reply === undefined) return;
          if (!this.acknowledgement.test(reply)) throw new Error(`unexpected reply ${JSON.stringify(reply)}`);
          this.acknowledged++;
        }
      }
    } finally {
      connection.close();
    }
  }
}

/** The same in a transaction: both counters or none. */
export class TransactionClient extends RespClient {
  protected override command(): string {
    return `${frame('MULTI')}${super.command()}${frame('EXEC')}`;
  }
  protected override readonly acknowledgement = /^\+OK\r\n\+QUEUED\r\n\+QUEUED\r\n\*2\r\n:\d+\r\n:\d+\r\n$/;
  protected override readonly linesPerUpdate = 6;
}

/** Atomic batches over HTTP, each with an idempotency key, so that an unknown one is asked for again. */
export class KeyedHttpClient extends CountingClient {
  #keys = 0;
  #unsettled: { readonly key: string; readonly updates: number } | undefined;

  async run(server: ServerProcess, updatesMax: number): Promise<void> {
    for (let sent = 0; sent < updatesMax; ) {
      const updates = Math.min(1 + this.random.below(20), updatesMax - sent);
      this.attempted += updates;
      sent += updates;
      this.#unsettled = { key: `${this.own}-${this.#keys++}`, updates };
      if (!(await this.#ask(server))) return;
    }
  }

  override async settle(server: ServerProcess): Promise<void> {
    if (this.#unsettled !== undefined && !(await this.#ask(server))) throw new Error('the server is gone again');
  }

  async #ask(server: ServerProcess): Promise<boolean> {
    const { key, updates } = this.#unsettled ?? { key: '', updates: 0 };
    const body = {
      atomic: true,
      updates: [
        { name: this.own, by: updates },
        { name: this.shared, by: String(this.weight * BigInt(updates)) },
      ],
    };
    const answer = await post(server, '/v1/batch', body, { 'idempotency-key': key });
    if (answer === undefined) return false;
    if (answer.status !== 200) throw new Error(`unexpected answer ${answer.status} ${answer.text}`);
    this.#unsettled = undefined;
    this.acknowledged += updates;
    return true;
  }
}

/** One increment a request, without a key. */
export class PlainHttpClient extends CountingClient {
  async run(server: ServerProcess, updatesMax: number): Promise<void> {
    for (let sent = 0; sent < updatesMax; sent++) {
      this.attempted++;
      const body = [{ name: this.own }, { name: this.shared, by: String(this.weight) }];
      const answer = await post(server, '/v1/batch', body);
      if (answer === undefined) return;
      if (answer.status !== 200) throw new Error(`unexpected answer ${answer.status} ${answer.text}`);
      this.acknowledged++;
    }
  }
}

/** The counts of these counters, over HTTP. */
export async function readCounts(server: ServerProcess, names: readonly string[]): Promise<bigint[]> {
  const query = names.map((name) => `name=${encodeURIComponent(name)}`).join('&');
  const response = await fetch(`${urlOf(server)}/v1/counters?${query}&numbers=string`);
  const { counters } = (await response.json()) as { counters: { name: string; value: string }[] };
  return counters.map(({ value }) => BigInt(value));
}

export function urlOf(server: ServerProcess): string {
  return `http://${server.http?.host}:${server.http?.port}`;
}

/** Undefined: the connection broke, and whether the request was heard is unknown. */
async function post(
  server: ServerProcess,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly text: string } | undefined> {
  try {
    const request = {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    };
    const response = await fetch(urlOf(server) + path, request);
    return { status: response.status, text: await response.text() };
  } catch (error) {
    // What fetch throws for every failure of the connection; anything else is a mistake in here.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** One RESP command as a client sends it. */
export function frame(...args: readonly string[]): string {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
  return `*${args.length}\r\n${parts.join('')}`;
}

/** A raw connection that reads replies line by line: enough for replies without bulk strings. */
export class RespConnection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #isOver = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const end = (): void => {
      this.#isOver = true;
      this.#wake?.();
    };
    socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#wake?.();
    });
    // A reset is how a killed server says goodbye.
    socket.on('error', end).on('end', end).on('close', end);
  }

  /** Undefined when nobody listens. */
  static open(address: Address | undefined): Promise<RespConnection | undefined> {
    const socket = connect({ host: address?.host ?? '', port: address?.port ?? 0, noDelay: true });
    return new Promise((resolve) => {
      socket.once('connect', () => resolve(new RespConnection(socket)));
      socket.once('error', () => resolve(undefined));
    });
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  send(text: string): void {
    if (!this.#isOver) this.#socket.write(text);
  }

  /** Takes nothing from the server any more. */
  pause(): void {
    this.#socket.pause();
  }

  /** The next lines with their ends, or undefined when the connection ended before. */
  async lines(count: number): Promise<string | undefined> {
    for (;;) {
      const end = this.#endOf(count);
      if (end > 0) {
        const text = this.#received.toString('latin1', 0, end);
        this.#received = this.#received.subarray(end);
        return text;
      }
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #endOf(lines: number): number {
    let at = 0;
    for (let i = 0; i < lines; i++) {
      const found = this.#received.indexOf(LINE_FEED, at);
      if (found < 0) return 0;
      at = found + 1;
    }
    return at;
  }
}
