// The HTTP door in this process, with a real engine on a directory of its own, or with a service that a test holds in
// its hands; and a client that sends exactly what a test says, without a browser's tidying of paths.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Chunk } from '../../src/counter/chunk.ts';
import type { Policy } from '../../src/counter/policy.ts';
import type {
  CountingService,
  ScanPage,
  ScanRequest,
  ServiceInfo,
  ServiceState,
  SnapshotSummary,
} from '../../src/counter/service.ts';
import { Engine } from '../../src/engine/engine.ts';
import { HttpGateway, type HttpGatewayOptions } from '../../src/gateway/http/gateway.ts';
import { NodeClock } from '../../src/host/node/clock.ts';
import { NodeDisk } from '../../src/host/node/disk.ts';
import { nodeHost } from '../../src/host/node/node.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: Buffer;
}

type Body = string | Uint8Array;

/** Sends one request on a connection of its own. */
export async function send(
  port: number,
  method: string,
  path: string,
  body?: Body,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const isChunked = 'transfer-encoding' in headers;
  const length: Record<string, string> =
    body === undefined || isChunked ? {} : { 'content-length': `${Buffer.byteLength(body)}` };
  const all = { connection: 'close', ...length, ...headers };
  const outgoing = request({ host: '127.0.0.1', port, method, path, headers: all });
  // Never as a string: Node would then write the headers as UTF-8 too.
  outgoing.end(body === undefined ? undefined : Buffer.from(body as string));
  const [incoming] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  const bytes = Buffer.concat(pieces);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text: bytes.toString('utf8'), bytes };
}

/** Sends bytes as they are, and gathers what comes until the server closes. */
export class RawConnection {
  readonly socket: Socket;
  text = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8').on('data', (piece: string) => {
      this.text += piece;
    });
    // A reset is an end like any other: tests look at what came before.
    socket.on('error', () => socket.destroy());
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  /** Everything that came, once the server has closed. */
  async rest(): Promise<string> {
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once('close', resolve));
    return this.text;
  }

  /** Resolves when what came contains the text. */
  async until(text: string): Promise<void> {
    while (!this.text.includes(text)) await once(this.socket, 'data');
  }
}

/** A service that answers only when a test says so. */
export class HeldService implements CountingService {
  state: ServiceState = 'open';
  readonly chunks: Chunk[] = [];
  #wake: () => void = () => undefined;

  submit(chunk: Chunk): void {
    this.chunks.push(chunk);
    this.#wake();
  }

  /** Resolves when so many chunks wait here. */
  async holding(count: number): Promise<void> {
    while (this.chunks.length < count) await this.#woken();
  }

  /** Completes the oldest chunk, with every command done unless `fill` says something else. */
  complete(fill: (chunk: Chunk) => void = () => undefined): void {
    const chunk = this.chunks.shift();
    if (chunk === undefined) throw new Error('no chunk is held');
    chunk.code.fill(0);
    chunk.flags.fill(0);
    fill(chunk);
    chunk.complete();
  }

  /** What a listing waits for. */
  page: Promise<ScanPage> = Promise.resolve({ entries: [], cursor: undefined });

  scans = 0;

  scan(_request: ScanRequest): Promise<ScanPage> {
    this.scans++;
    this.#wake();
    return this.page;
  }

  /** Resolves when a listing waits here. */
  async scanning(): Promise<void> {
    while (this.scans === 0) await this.#woken();
  }

  async snapshot(): Promise<SnapshotSummary> {
    throw new Error('the disk is on fire');
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  info(): ServiceInfo {
    return { state: this.state, counters: 0, sequence: 2n ** 60n, failure: undefined } as unknown as ServiceInfo;
  }
}

/** A clock that a test moves. */
export class MovedClock extends NodeClock {
  offsetMs = 0;
  #due: (() => void)[] = [];
  override monotonicMs(): number {
    return this.offsetMs;
  }
  override schedule(_delayMs: number, callback: () => void): { cancel(): void } {
    this.#due.push(callback);
    return { cancel: () => undefined };
  }
  move(ms: number): void {
    this.offsetMs += ms;
    for (const callback of this.#due.splice(0)) callback();
  }
}

export class Logged {
  readonly lines: string[] = [];
  info(): void {}
  warn(_data: object, message: string): void {
    this.lines.push(message);
  }
  error(data: object, message: string): void {
    this.lines.push(`${message}: ${String((data as { err?: unknown }).err)}`);
  }
}

export interface DoorOptions extends Partial<Omit<HttpGatewayOptions, 'host' | 'port'>> {
  readonly policies?: readonly Policy[];
}

export class TestDoor {
  readonly gateway: HttpGateway;
  readonly log: Logged;
  readonly #cleanUp: () => Promise<void>;

  private constructor(gateway: HttpGateway, log: Logged, cleanUp: () => Promise<void>) {
    this.gateway = gateway;
    this.log = log;
    this.#cleanUp = cleanUp;
  }

  static async open(options: DoorOptions = {}): Promise<TestDoor> {
    const { policies, service, ...rest } = options;
    const log = new Logged();
    const host = nodeHost();
    const directory = service === undefined ? await mkdtemp(join(tmpdir(), 'tallyd-http-')) : undefined;
    const disk = directory === undefined ? undefined : new NodeDisk(directory);
    const engine = disk && (await Engine.open({ disk, host, durability: 'off', policies }));
    const counting = service ?? engine;
    if (counting === undefined) throw new Error('a door needs a service');
    const address = { host: '127.0.0.1', port: 0, allowedHosts: ['x'] };
    const common = { service: counting, clock: host.clock, ...address, log, version: '1.2.3' };
    const gateway = await HttpGateway.open({ ...common, ...rest });
    return new TestDoor(gateway, log, async () => {
      await engine?.close();
      if (directory !== undefined) await rm(directory, { recursive: true });
    });
  }

  get port(): number {
    return this.gateway.address.port;
  }

  send(method: string, path: string, body?: Body, headers?: Record<string, string>): Promise<Answer> {
    return send(this.port, method, path, body, headers);
  }

  /** The answer's text, which must come with this status. */
  async text(
    status: number,
    method: string,
    path: string,
    body?: Body,
    headers?: Record<string, string>,
  ): Promise<string> {
    const answer = await this.send(method, path, body, headers);
    if (answer.status !== status) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer.text;
  }

  /** The code of the problem that must be the answer. */
  async code(method: string, path: string, body?: Body, headers?: Record<string, string>): Promise<string> {
    const answer = await this.send(method, path, body, headers);
    if (!answer.headers['content-type']?.startsWith('application/problem+json')) {
      throw new Error(`${method} ${path} answered ${answer.status}, no problem: ${answer.text}`);
    }
    const problem = JSON.parse(answer.text) as { status: number; code: string };
    if (problem.status !== answer.status) throw new Error(`status ${answer.status} with ${answer.text}`);
    return problem.code;
  }

  async close(graceMs = 2000): Promise<void> {
    await this.gateway.close(graceMs);
    await this.#cleanUp();
  }
}
