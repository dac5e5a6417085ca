/**
 * What a client has queued since MULTI. While everything is in the buffer being read, only positions are kept, so that
 * EXEC joins the chunk of the requests around it: many small transactions in one pipeline share one sync. If the buffer
 * is released before EXEC arrives, the arguments are copied, and EXEC gets a chunk of its own.
 *
 * Bounded in commands, in those that do not count, in chunk commands, and in bytes: beyond a bound the transaction
 * fails, as with any other error between MULTI and EXEC.
 */
import {
  CHUNK_COMMANDS_MAX,
  RESP_COMMAND_BYTES_MAX,
  RESP_TRANSACTION_COMMANDS_MAX,
  RESP_TRANSACTION_OTHERS_MAX,
} from '../../counter/limits.ts';
import type { LentBytes } from './lent-bytes.ts';
import type { Request } from './request.ts';

/** What an argument costs beside its own bytes: its start and length. */
const ARGUMENT_BYTES = 16;

/** What a transaction has to know of a command. */
export interface Weighed {
  /** How many chunk commands a request with so many arguments pushes. */
  readonly weight: (argumentCount: number) => number;
}

export class Transaction<Command extends Weighed> {
  /** An error came between MULTI and EXEC: EXEC will refuse. */
  spoiled = false;
  /** Chunk commands that EXEC will push. */
  weight = 0;
  readonly commands: Command[] = [];
  /** Commands that push no chunk command. */
  #others = 0;
  /** Per command: how many arguments. */
  readonly #counts: number[] = [];
  /** Per argument. */
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];
  #bytes = 0;
  /** The arguments copied so far: the first `#copied` of them, in `buffer[0, #used)`. */
  #buffer: Buffer | undefined;
  #copied = 0;
  #used = 0;

  /** Its own buffer with the arguments; undefined while they are in the one being read. */
  get buffer(): Buffer | undefined {
    return this.#buffer;
  }

  /** Memory that is held, in bytes. */
  get heldBytes(): number {
    return (this.#buffer?.length ?? 0) + this.#starts.length * ARGUMENT_BYTES;
  }

  /** Queues a request whose arguments lie in the buffer being read. @returns false when it is too much. */
  add(command: Command, request: Request): boolean {
    let bytes = this.#bytes;
    for (let i = 0; i < request.count; i++) bytes += request.lengths[i] + ARGUMENT_BYTES;
    const added = command.weight(request.count);
    const weight = this.weight + added;
    const others = this.#others + (added === 0 ? 1 : 0);
    const fits =
      this.commands.length < RESP_TRANSACTION_COMMANDS_MAX &&
      others <= RESP_TRANSACTION_OTHERS_MAX &&
      weight <= CHUNK_COMMANDS_MAX &&
      bytes <= RESP_COMMAND_BYTES_MAX;
    if (!fits) return false;
    this.#bytes = bytes;
    this.weight = weight;
    this.#others = others;
    this.commands.push(command);
    this.#counts.push(request.count);
    for (let i = 0; i < request.count; i++) {
      this.#starts.push(request.starts[i]);
      this.#lengths.push(request.lengths[i]);
    }
    return true;
  }

  /** Copies the arguments that are still in `bytes`, the buffer being read. */
  detach(bytes: LentBytes): void {
    if (this.#copied === this.#starts.length) return;
    if (this.#buffer === undefined || this.#buffer.length < this.#bytes) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#bytes * 2, RESP_COMMAND_BYTES_MAX));
      if (this.#buffer !== undefined) larger.set(this.#buffer.subarray(0, this.#used));
      this.#buffer = larger;
    }
    for (; this.#copied < this.#starts.length; this.#copied++) {
      const start = this.#starts[this.#copied];
      this.#starts[this.#copied] = this.#used;
      this.#used += bytes.copy(this.#buffer, this.#used, start, start + this.#lengths[this.#copied]);
    }
  }

  /** Calls back for each queued command, with its arguments in `request`. */
  replay(request: Request, bytes: LentBytes, each: (command: Command) => void): void {
    let at = 0;
    this.commands.forEach((command, i) => {
      request.begin(bytes);
      for (const end = at + this.#counts[i]; at < end; at++) request.push(this.#starts[at], this.#lengths[at]);
      each(command);
    });
  }
}
