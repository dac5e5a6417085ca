/**
 * What connections deliver, on its way to Node's HTTP parser: one request at a time.
 *
 * Invariants:
 * - The parser sees no byte behind a request before the answer to that request has left for the kernel. So the answers
 *   of a connection leave in order, each once; nothing is begun for a client that does not read; what follows a last
 *   answer (`Connection: close`, HTTP/1.0, a refusal) is never carried out; and what is wrong with it is said behind the
 *   answers that are due, never instead of them.
 * - What waits here is what the socket delivers before it pauses, about 64 KiB.
 * - A client that has closed its half gets the answers that are due.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Boundaries } from './boundaries.ts';
import type { Turns } from './turns.ts';

const NOTHING = Buffer.alloc(0);

/** Of a server, which hands its connections over here. */
export class Intakes {
  readonly #turns: Turns;
  readonly #intakes = new WeakMap<Socket, Intake>();
  /** Node's own way to begin with a connection. */
  readonly #begin: (socket: Socket) => void;

  /** From now on nothing begins with the server's connections unless `adopt` is called. */
  constructor(server: Server, turns: Turns) {
    this.#turns = turns;
    const [listener] = server.listeners('connection') as ((socket: Socket) => void)[];
    this.#begin = listener.bind(server);
    server.off('connection', listener);
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#intakes.get(request.socket)?.begin(request, response);
    });
  }

  /**
   * Gives a connection to Node's HTTP server.
   * @param bytes what it has delivered already; `isEnded`: that was all.
   */
  readonly adopt = (socket: Socket, bytes: Buffer = NOTHING, isEnded = false): void => {
    this.#begin(socket);
    const intake = new Intake(socket, this.#turns);
    this.#intakes.set(socket, intake);
    intake.receive(bytes);
    if (isEnded) intake.end();
  };

  /** Whether what is coming on a connection has its answer already, or the first part of it. */
  isAnswered(socket: Socket): boolean {
    return this.#intakes.get(socket)?.isAnswered === true;
  }
}

class Intake {
  readonly #socket: Socket;
  readonly #turns: Turns;
  readonly #boundaries = new Boundaries();
  /** What Node does with what comes, and at its end. */
  readonly #parse: (bytes: Buffer) => void;
  readonly #finish: () => void;
  /** What has not been given to the parser. */
  #bytes: Buffer = NOTHING;
  #at = 0;
  /** The last request, and the answer to it until that has left. */
  #request: IncomingMessage | undefined;
  #response: ServerResponse | undefined;
  /** Something of before has not left, or a turn for the next request has been asked for. */
  #isHeld = false;
  #isPaused: boolean;
  /** The client has closed its half, and Node does not know. */
  #isEnded = false;

  /** @param socket has just been given to Node's HTTP server, which listens. */
  constructor(socket: Socket, turns: Turns) {
    this.#socket = socket;
    this.#turns = turns;
    const parse = socket.listeners('data').at(-1) as (bytes: Buffer) => void;
    const finish = socket.listeners('end').at(-1) as () => void;
    this.#parse = parse.bind(socket);
    this.#finish = finish.bind(socket);
    this.#isPaused = socket.isPaused();
    socket.off('data', parse).off('end', finish);
    socket.on('data', this.receive).on('end', this.end);
    if (socket.writableLength > 0) this.#holdUntilWritten();
  }

  /** The request that is coming has its answer, or the first part of it. */
  get isAnswered(): boolean {
    return this.#request?.complete === false && this.#response?.headersSent !== false;
  }

  /** Node has read a request's head. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.#request = request;
    this.#response = response;
    this.#boundaries.begin(request);
    response.on('close', this.#onAnswered);
  }

  readonly receive = (bytes: Buffer): void => {
    const isFirst = this.#at === this.#bytes.length;
    this.#bytes = isFirst ? bytes : Buffer.concat([this.#bytes.subarray(this.#at), bytes]);
    this.#at = 0;
    this.#goOn();
  };

  readonly end = (): void => {
    this.#isEnded = true;
    this.#goOn();
  };

  /** A request has come whole, and its answer has not left. */
  get #isDue(): boolean {
    return this.#isHeld || (this.#response !== undefined && this.#request?.complete === true);
  }

  /** Gives the parser what it may have. */
  #goOn(): void {
    const socket = this.#socket;
    while (this.#at < this.#bytes.length && !this.#isDue) {
      // A last answer has been given: nothing behind it counts.
      if (!socket.writable) {
        this.#bytes = NOTHING;
        this.#at = 0;
        break;
      }
      const bytes = this.#bytes;
      const from = this.#at;
      this.#at = this.#boundaries.next(bytes, from);
      this.#parse(from === 0 && this.#at === bytes.length ? bytes : bytes.subarray(from, this.#at));
    }
    if (this.#at === this.#bytes.length) {
      this.#bytes = NOTHING;
      this.#at = 0;
      if (this.#isPaused) socket.resume();
      this.#isPaused = false;
      if (this.#isEnded && !this.#isDue) {
        this.#isEnded = false;
        this.#finish();
      }
    } else {
      this.#isPaused = true;
      socket.pause();
    }
  }

  readonly #onAnswered = (): void => {
    this.#response = undefined;
    if (this.#at === this.#bytes.length) {
      if (this.#isEnded) this.#goOn();
      return;
    }
    // What has been sent ahead waits for its turn: other connections have theirs in between.
    this.#isHeld = true;
    this.#turns.later(this.#release);
  };

  #holdUntilWritten(): void {
    this.#isHeld = true;
    this.#socket.write('', this.#release);
  }

  readonly #release = (): void => {
    this.#isHeld = false;
    this.#goOn();
  };
}
