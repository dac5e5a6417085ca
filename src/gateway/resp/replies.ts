/**
 * The replies to a chunk, in the order of the requests: planned while requests are read, written when the chunk's
 * outcomes are known. A reply uses the outcomes of zero, one or several of the chunk's commands; together the replies
 * use each command once, in order.
 *
 * Anything that depends on the time of the reply (the number of counters, the protocol after HELLO) is a function
 * called while writing, so it sees the effects of earlier requests.
 */
import type { Chunk } from '../../counter/chunk.ts';
import { DONE, ERRORS, errorCode } from '../../counter/errors.ts';
import { assert } from '../../std/assert.ts';
import type { ReplyWriter } from './reply-writer.ts';

/** Writes one reply from the outcomes `[first, first + commands)`, none of which is an error unless it says so. */
export interface ReplyFormat {
  (writer: ReplyWriter, chunk: Chunk, first: number, commands: number): void;
  /** It has an answer of its own to outcomes that are errors. */
  readonly takesErrors?: true;
}

const OUTCOME_UNKNOWN = new Set<number>(
  Object.values(ERRORS).flatMap(({ id, outcome }) => (outcome === 'unknown' ? [id] : [])),
);

/** The outcome of each counting command is its new value: the path of increments. */
export const valueReply: ReplyFormat = (writer, chunk, first) =>
  writer.integer(chunk.value[2 * first], chunk.value[2 * first + 1]);

/** Starts a reply whose elements are the next replies; replaces all of them if the chunk was refused. */
const groupReply: ReplyFormat = () => assert(false, 'a group is written by the plan itself');

/** Proof that a reply has been planned: no path through a command can forget it. */
export interface Planned {
  readonly isPlanned: true;
}
const PLANNED: Planned = { isPlanned: true };

export class Replies {
  readonly #formats: ReplyFormat[] = [];
  /** Per reply: how many commands it takes; of a group: how many replies. */
  readonly #counts: number[] = [];
  #length = 0;
  #saysSomething = false;

  get length(): number {
    return this.#length;
  }

  /** Resets. The arrays stay, but objects referenced by replies are released. */
  clear(): void {
    this.#length = 0;
    if (this.#saysSomething) this.#formats.length = 0;
    this.#saysSomething = false;
  }

  /** A reply from the next `commands` of the chunk. */
  add(format: ReplyFormat, commands: number): Planned {
    this.#formats[this.#length] = format;
    this.#counts[this.#length++] = commands;
    return PLANNED;
  }

  /** A reply that does not depend on the chunk. */
  say(write: (writer: ReplyWriter) => void): Planned {
    this.#saysSomething = true;
    return this.add(write, 0);
  }

  /** An error, its code word first. */
  error(text: string): Planned {
    return this.say((writer) => writer.error(text));
  }

  /** The next `replies` replies are one array. */
  group(replies: number): Planned {
    return this.add(groupReply, replies);
  }

  /**
   * Writes all replies.
   * @returns false if an outcome is unknown: then none of this may be sent.
   */
  write(writer: ReplyWriter, chunk: Chunk): boolean {
    if (chunk.refusal !== DONE) return this.#writeRefused(writer, chunk);
    const { code } = chunk;
    let first = 0;
    for (let i = 0; i < this.#length; i++) {
      const format = this.#formats[i];
      const commands = this.#counts[i];
      if (format === valueReply && code[first] === DONE) {
        valueReply(writer, chunk, first++, 1);
        continue;
      }
      if (format === groupReply) {
        writer.array(commands);
        continue;
      }
      const error = firstError(code, first, commands);
      if (OUTCOME_UNKNOWN.has(error)) return false;
      if (error === DONE || format.takesErrors === true) format(writer, chunk, first, commands);
      else writer.error(errorText(error));
      first += commands;
    }
    assert(first === chunk.count, 'the replies take each outcome of the chunk once');
    return true;
  }

  /** The chunk as a whole was refused, so every reply that uses one of its commands is an error. */
  #writeRefused(writer: ReplyWriter, chunk: Chunk): boolean {
    if (OUTCOME_UNKNOWN.has(chunk.refusal)) return false;
    const text = errorText(chunk.refusal);
    for (let i = 0; i < this.#length; i++) {
      if (this.#formats[i] === groupReply) {
        writer.error(text);
        i += this.#counts[i];
      } else if (this.#counts[i] === 0) {
        this.#formats[i](writer, chunk, 0, 0);
      } else {
        writer.error(text);
      }
    }
    return true;
  }
}

/** The first error among the commands; an unknown outcome has precedence. */
function firstError(code: Uint8Array, first: number, commands: number): number {
  let error: number = DONE;
  for (let i = first; i < first + commands; i++) {
    if (code[i] === DONE) continue;
    if (OUTCOME_UNKNOWN.has(code[i])) return code[i];
    if (error === DONE) error = code[i];
  }
  return error;
}

/** The RESP text of an error of the catalogue. */
export function errorText(id: number): string {
  return ERRORS[errorCode(id)].resp;
}
