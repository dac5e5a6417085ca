// A RESP client that hands out what the server sent, byte by byte: for tests that compare bytes, send what no client
// library would send, or read as slowly as they like. One character stands for one byte.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class RawClient {
  readonly socket: Socket;
  #received = '';
  #isEnded = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake();
    });
    const onEnd = () => {
      this.#isEnded = true;
      this.#wake();
    };
    // A reset is an end like any other here: tests ask whether and what the server answered before.
    socket.on('error', onEnd);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
  }

  static async connect(address: { readonly host: string; readonly port: number }): Promise<RawClient> {
    const socket = connect({ ...address, noDelay: true, allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Sends bytes as they are. */
  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** One whole reply, as it came; what came before the end when the server ends first. */
  async reply(): Promise<string> {
    for (;;) {
      const end = replyEnd(this.#received, 0);
      if (end > 0 || this.#isEnded) {
        const reply = this.#received.slice(0, end > 0 ? end : undefined);
        this.#received = this.#received.slice(reply.length);
        return reply;
      }
      await this.#more();
    }
  }

  /** Sends a request of these arguments and waits for its reply. */
  async call(...args: readonly (string | Uint8Array)[]): Promise<string> {
    this.send(request(...args));
    return this.reply();
  }

  /** Everything that comes until the server ends. */
  async rest(): Promise<string> {
    while (!this.#isEnded) await this.#more();
    return this.#received;
  }

  close(): void {
    this.socket.destroy();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** A request as clients send it. Text is one byte per character. */
export function request(...args: readonly (string | Uint8Array)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg, 'latin1') : Buffer.from(arg);
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** A request of the words of a line. */
export function words(line: string): Buffer {
  return request(...line.split(' '));
}

/** The position behind the reply that starts at `at`, -1 when it is not whole. */
export function replyEnd(text: string, at: number): number {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd < 0) return -1;
  const length = Number(text.slice(at + 1, lineEnd));
  switch (text[at]) {
    case '$':
    case '=':
      if (length < 0) return lineEnd + 2;
      return text.length >= lineEnd + 4 + length ? lineEnd + 4 + length : -1;
    case '*':
    case '~':
      return elementsEnd(text, lineEnd + 2, length);
    case '%':
      return elementsEnd(text, lineEnd + 2, 2 * length);
    default:
      return lineEnd + 2;
  }
}

function elementsEnd(text: string, at: number, count: number): number {
  let end = at;
  for (let i = 0; i < count && end >= 0; i++) end = replyEnd(text, end);
  return end;
}
