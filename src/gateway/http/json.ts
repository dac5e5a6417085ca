/**
 * JSON bodies, read exactly. `JSON.parse` alone would round 9007199254740993, take `1.0` and `1e3` for integers,
 * replace bytes that are no UTF-8 and keep only the last of two equal names. Counts must not come to harm that
 * way, so:
 *
 * - A number that is no integer literal, or `-0`, becomes a `NotAnInteger`, which no schema takes.
 * - An integer literal beyond 2^53 becomes a decimal string with the same digits where a count is expected.
 * - A body that is no UTF-8, or names the same field twice in one object, is refused.
 *
 * Looking at each literal's source text is slow (a callback per value), and hardly any body needs it: one whose
 * text has, behind a field's name, no number with 16 digits, a point, an exponent or `-0` is exact under plain
 * `JSON.parse`.
 */
import { isUtf8 } from 'node:buffer';
import { CountingError } from '../../counter/errors.ts';
import { BATCH_ENTRIES_MAX } from '../../counter/limits.ts';

/** A number literal that is no integer, kept as it was written. */
export class NotAnInteger {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** Fields that hold counts or times: here a literal beyond 2^53 and its decimal string mean the same. */
const INTEGER_FIELDS: ReadonlySet<string> = new Set(['by', 'value', 'floor', 'ceiling', 'ttl', 'at']);
/** A number, as the value of a field, that plain `JSON.parse` may not read as it is meant. May match inside a string. */
const RISKY_NUMBER = /"\s*:\s*(?:-0|-?(?:\d{16}|\d+[.eE]))/;
const INTEGER = /^(?:0|-?[1-9][0-9]*)$/;
/** Commas and line ends between values: of the longest batch, with every field on a line of its own, and no more. */
const SEPARATORS_MAX = BATCH_ENTRIES_MAX * 20;
/** No route takes more than a list of flat objects in an object. */
const DEPTH_MAX = 8;
const QUOTE = 34;
const BACKSLASH = 92;
const COMMA = 44;
const LINE_END = 10;

type SourceReviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/**
 * The value of a JSON text.
 * @throws CountingError invalid_body, body_too_large
 */
export function parseJson(bytes: Buffer): unknown {
  const parser = new ExactParser(bytes);
  const value = parser.parse(parser.text, 'the body is not JSON');
  parser.finish();
  return value;
}

/**
 * The values of the lines of an NDJSON text; blank lines do not count.
 * @throws CountingError invalid_body, naming the line; body_too_large
 */
export function parseJsonLines(bytes: Buffer): unknown[] {
  const parser = new ExactParser(bytes);
  const values: unknown[] = [];
  const lines = parser.text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    if (line === '' || line.trim() === '') continue;
    values.push(parser.parse(line, `line ${i + 1} is not JSON`));
  }
  parser.finish();
  return values;
}

class ExactParser {
  readonly text: string;
  readonly #quotes: number;
  #strings = 0;

  constructor(bytes: Buffer) {
    if (!isUtf8(bytes)) throw new CountingError('invalid_body', 'the body is not valid UTF-8');
    const { quotes, separators } = punctuationOf(bytes);
    // Before anything is parsed: millions of tiny values take seconds, in which nobody else is answered.
    if (separators > SEPARATORS_MAX) throw new CountingError('body_too_large', 'the body has too many values');
    this.#quotes = quotes;
    this.text = bytes.toString('utf8');
  }

  parse(text: string, complaint: string): unknown {
    let value: unknown;
    try {
      value = RISKY_NUMBER.test(text)
        ? JSON.parse(text, this.#revive as (key: string, value: unknown) => unknown)
        : JSON.parse(text);
    } catch (error) {
      throw new CountingError('invalid_body', `${complaint}: ${(error as Error).message}`);
    }
    this.#strings += stringsIn(value, 0);
    return value;
  }

  /** In well-formed JSON every name and every string has two quotes of its own: more of them, and a name came twice. */
  finish(): void {
    if (this.#quotes !== 2 * this.#strings) {
      throw new CountingError('invalid_body', 'an object in the body has the same field twice');
    }
  }

  readonly #revive: SourceReviver = (key, value, context) => {
    if (typeof value !== 'number') return value;
    const source = context.source ?? '';
    if (!INTEGER.test(source)) return new NotAnInteger(source);
    if (Number.isSafeInteger(value) || !INTEGER_FIELDS.has(key)) return value;
    this.#strings--;
    return source;
  };
}

/** What a JSON text has of quotes that are not escaped, and of separators outside of strings. */
function punctuationOf(bytes: Buffer): { quotes: number; separators: number } {
  let quotes = 0;
  let separators = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === COMMA || byte === LINE_END) separators++;
    if (byte !== QUOTE) continue;
    quotes++;
    for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    if (i < bytes.length) quotes++;
  }
  return { quotes, separators };
}

/** Names of fields and strings in a value. */
function stringsIn(value: unknown, depth: number): number {
  if (typeof value === 'string') return 1;
  if (typeof value !== 'object' || value === null || value instanceof NotAnInteger) return 0;
  if (depth > DEPTH_MAX) throw new CountingError('invalid_body', 'the body is nested too deeply');
  let strings = 0;
  if (Array.isArray(value)) {
    for (const item of value) strings += stringsIn(item, depth + 1);
    return strings;
  }
  for (const field in value) strings += 1 + stringsIn((value as Record<string, unknown>)[field], depth + 1);
  return strings;
}
