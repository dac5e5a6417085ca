/**
 * A connection whose every reply is checked: it knows what each counter was filled with, and is alone in counting on
 * its share of them.
 */
import type { RegionNode } from '../../test/chaos/region-node.ts';
import { frame, RespConnection } from '../../test/wire/counting-clients.ts';
import { filledName, filledValue } from './filled-store.ts';

interface Command {
  readonly counter: number;
  readonly isUpdate: boolean;
}

export class CheckedClient {
  /** By counter: how many updates of it were acknowledged. A counter that was only read has 0. */
  readonly touched = new Map<number, number>();
  answered = 0;
  refused = 0;
  readonly #connection: RespConnection;

  private constructor(connection: RespConnection) {
    this.#connection = connection;
  }

  static async open(node: RegionNode): Promise<CheckedClient> {
    const connection = await RespConnection.open(node.server.resp);
    if (connection === undefined) throw new Error('the node takes no connection');
    return new CheckedClient(connection);
  }

  /** Sends them together. @throws when a reply tells another value than the counter has */
  async ask(commands: readonly Command[]): Promise<void> {
    this.#connection.send(commands.map(({ counter, isUpdate }) => command(filledName(counter), isUpdate)).join(''));
    for (const each of commands) this.#check(each, await this.#reply());
  }

  close(): void {
    this.#connection.close();
  }

  #check({ counter, isUpdate }: Command, reply: string): void {
    this.answered++;
    if (/^-(OOM|TRYAGAIN) /.test(reply)) {
      this.refused++;
      return;
    }
    const added = (this.touched.get(counter) ?? 0) + Number(isUpdate);
    this.touched.set(counter, added);
    const expected = filledValue(counter) + added;
    if (Number(reply) !== expected) throw new Error(`${filledName(counter)} is ${reply} instead of ${expected}`);
  }

  /** A number, or an error's line. */
  async #reply(): Promise<string> {
    const [type, text] = await this.#line();
    return type === ':' ? text : type === '$' && text !== '-1' ? (await this.#line()).join('') : `${type}${text}`;
  }

  async #line(): Promise<[type: string, text: string]> {
    const line = await this.#connection.lines(1);
    if (line === undefined) throw new Error('the node has ended a connection');
    return [line.slice(0, 1), line.slice(1, -2)];
  }
}

function command(name: string, isUpdate: boolean): string {
  return isUpdate ? frame('INCRBY', name, '1') : frame('GET', name);
}
