/** A connection that sends RESP commands as fast as it is told, and knows how many were answered. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const LINE_FEED = 10;

export class RespLine {
  /** Replies so far; each is one line. */
  answered = 0;
  sent = 0;
  /** Replies that said no. */
  errors = 0;
  isOver = false;
  readonly #socket: Socket;
  #isAtStart = true;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    const end = (): void => {
      this.isOver = true;
      this.#wake?.();
    };
    socket.on('error', end).on('close', end);
  }

  static async open(address: { readonly host: string; readonly port: number } | undefined): Promise<RespLine> {
    const socket = connect({ host: address?.host ?? '', port: address?.port ?? 0, noDelay: true });
    await once(socket, 'connect');
    return new RespLine(socket);
  }

  send(text: string, commands: number): void {
    this.sent += commands;
    if (!this.isOver) this.#socket.write(text, 'latin1');
  }

  /** Until at most so many commands wait for their replies, or the connection has ended. */
  async settled(underWayMax = 0): Promise<void> {
    while (this.sent - this.answered > underWayMax && !this.isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#isAtStart && bytes[at] === 0x2d) this.errors++;
      const end = bytes.indexOf(LINE_FEED, at);
      this.#isAtStart = end >= 0;
      if (end < 0) break;
      this.answered++;
      at = end + 1;
    }
    this.#wake?.();
  }
}

export function increment(name: string, by = 1): string {
  const amount = String(by);
  return `*3\r\n$6\r\nINCRBY\r\n$${name.length}\r\n${name}\r\n$${amount.length}\r\n${amount}\r\n`;
}
