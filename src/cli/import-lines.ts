/**
 * Lines of an import: `{"name", "by", "at"?, "id"?}`, one JSON object each. Parsed strictly: anything for which the
 * server would refuse a whole batch (an unknown field, a fraction) is refused here, with the line's number.
 */
import { Buffer } from 'node:buffer';
import type { BatchUpdate } from '../client/client.ts';
import { quotesIn } from '../std/json-quotes.ts';

/** A line is not an event. The message says what is wrong with it. */
export class MalformedLine extends Error {
  override readonly name = 'MalformedLine';
  /** 1-based. */
  readonly line: number;

  constructor(line: number, reason: string) {
    super(reason);
    this.line = line;
  }
}

/** One line, the bytes between two newlines, and its 1-based number. */
export interface Line {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** The longest accepted line: an event with the longest name and id, escaped byte by byte, is shorter. */
export const LINE_BYTES_MAX = 16 * 1024;

const NEWLINE = 10;
const RETURN = 13;
const NAME_BYTES_MAX = 255;
/** The end of the year 9999. */
const UNIX_SECONDS_MAX = 253_402_300_799;
const FIELDS = new Set(['name', 'by', 'at', 'id']);
/** Digits that a double may round, or a number that is no integer literal; also matches inside texts, harmlessly. */
const MAYBE_INEXACT = /\d{16}|\d[.eE]/;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Splits blocks of bytes into lines, no matter where the blocks are cut. */
export class LineSplitter {
  #number = 0;
  #rest: Uint8Array = new Uint8Array(0);
  /** The last line had a carriage return before its newline. */
  #hasReturn = false;

  /**
   * @returns the lines that end in this block. @throws MalformedLine when the line behind them is too long to be one.
   */
  push(block: Uint8Array): Line[] {
    const bytes = this.#rest.length === 0 ? block : Buffer.concat([this.#rest, block]);
    const lines: Line[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      lines.push({ number: ++this.#number, bytes: bytes.subarray(start, end) });
      start = end + 1;
    }
    this.#rest = bytes.subarray(start);
    if (lines.length > 0) this.#hasReturn = lines.at(-1)?.bytes.at(-1) === RETURN;
    if (lines.length === 0) checkLength({ number: this.#number + 1, bytes: this.#rest });
    return lines;
  }

  /** The last line if no newline ended it, as it will be once its line end is added. */
  end(): Line | undefined {
    if (this.#rest.length === 0) return undefined;
    const lacksReturn = this.#hasReturn && this.#rest.at(-1) !== RETURN;
    const bytes = lacksReturn ? Buffer.concat([this.#rest, Uint8Array.of(RETURN)]) : this.#rest;
    this.#rest = new Uint8Array(0);
    return { number: ++this.#number, bytes };
  }
}

/** Whether a line has only spaces; such lines are not part of the content. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13);
}

/** @throws MalformedLine */
export function parseLine(line: Line): BatchUpdate & { readonly by: bigint } {
  try {
    checkLength(line);
    return eventOf(decoder.decode(line.bytes), line.bytes);
  } catch (error) {
    if (error instanceof MalformedLine) throw error;
    throw new MalformedLine(line.number, reasonOf(error));
  }
}

function checkLength({ number, bytes }: Line): void {
  if (bytes.length > LINE_BYTES_MAX) throw new MalformedLine(number, `the line is longer than ${LINE_BYTES_MAX} bytes`);
}

/** What the text decoder, the JSON parser or a check below has to say. */
function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return error.message;
  return error instanceof SyntaxError ? `not valid JSON (${error.message})` : 'not valid UTF-8';
}

/** @throws SyntaxError if the text is not JSON, RangeError if it is not an event. */
function eventOf(text: string, bytes: Uint8Array): BatchUpdate & { readonly by: bigint } {
  const event: unknown = JSON.parse(text);
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw new RangeError('not a JSON object such as {"name":"likes:42","by":1}');
  }
  for (const field of Object.keys(event)) {
    if (!FIELDS.has(field))
      throw new RangeError(`unknown field ${JSON.stringify(field)}; an event has name, by, at, id`);
  }
  const { name, by, at, id } = event as Record<string, unknown>;
  if (typeof name !== 'string' || name === '' || !name.isWellFormed() || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new RangeError('"name" must be a string of 1 to 255 bytes of valid UTF-8');
  }
  if (at !== undefined && !(Number.isSafeInteger(at) && (at as number) >= 0 && (at as number) <= UNIX_SECONDS_MAX)) {
    throw new RangeError('"at" must be Unix seconds, a whole number, not milliseconds');
  }
  if (id !== undefined && (typeof id !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(id))) {
    throw new RangeError('"id" must be a string of 1 to 255 printable ASCII characters');
  }
  const amount = amountOf(by, text);
  // From here on the event is known to be flat.
  const values = Object.values(event);
  const strings = values.length + values.filter((value) => typeof value === 'string').length;
  if (quotesIn(bytes, 1) !== 2 * strings) throw new RangeError('a field is there twice');
  return { name, by: amount, at: at as number | undefined, id };
}

/** The amount exactly as it is written: an integer literal or a decimal string. */
function amountOf(by: unknown, text: string): bigint {
  if (by === undefined) throw new RangeError('"by" is missing: add the amount, as "by":1');
  const source = typeof by === 'number' && MAYBE_INEXACT.test(text) ? sourceOf(text) : by;
  if ((typeof source !== 'number' && typeof source !== 'string') || !/^-?\d{1,19}$/.test(String(source))) {
    throw new RangeError('"by" must be an integer such as 5 or "-5", without fraction or exponent');
  }
  const amount = BigInt(source);
  if (BigInt.asIntN(64, amount) !== amount) {
    throw new RangeError('"by" must fit in 64 bits: -9223372036854775808 to 9223372036854775807');
  }
  return amount;
}

/** The source text of the number `by`. */
function sourceOf(text: string): string {
  let source = '';
  const reviver = (key: string, value: unknown, context?: { source?: string }): unknown => {
    if (key === 'by') source = context?.source ?? '';
    return value;
  };
  JSON.parse(text, reviver);
  return source;
}
