/** A counter in memory that speaks enough RESP for the benchmark, and that can be told to count wrong. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/** What to add for the n-th INCR that is acknowledged; 1 is honest. */
export type Honesty = (nth: number) => number;

export class LyingServer {
  readonly #honesty: Honesty;
  readonly #counters = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #increments = 0;

  constructor(honesty: Honesty) {
    this.#honesty = honesty;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return address.port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    let waiting = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      waiting += text;
      let replies = '';
      for (let command = takeCommand(waiting); command !== undefined; command = takeCommand(waiting)) {
        waiting = waiting.slice(command.length);
        replies += this.#answer(command.words);
      }
      socket.write(replies);
    });
  }

  #answer([verb = '', ...names]: readonly string[]): string {
    switch (verb.toUpperCase()) {
      case 'INCR': {
        const [name = ''] = names;
        const value = (this.#counters.get(name) ?? 0) + this.#honesty(this.#increments++);
        this.#counters.set(name, value);
        return `:${value}\r\n`;
      }
      case 'SCAN':
        return `*2\r\n${bulk('0')}${list([...this.#counters.keys()])}`;
      case 'MGET':
        return list(names.map((name) => String(this.#counters.get(name))));
      default:
        return '+OK\r\n';
    }
  }
}

interface Taken {
  readonly words: readonly string[];
  /** Characters that it took. */
  readonly length: number;
}

/** The first command, or undefined while it is not complete. */
function takeCommand(text: string): Taken | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  const words: string[] = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i++) {
    const header = /^\$(\d+)\r\n/.exec(text.slice(at, at + 16));
    if (header === null) return undefined;
    const start = at + header[0].length;
    at = start + Number(header[1]) + 2;
    if (at > text.length) return undefined;
    words.push(text.slice(start, at - 2));
  }
  return { words, length: at };
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function list(texts: readonly string[]): string {
  return `*${texts.length}\r\n${texts.map(bulk).join('')}`;
}
