/**
 * JSON bodies, read exactly. `JSON.parse` alone would round 9007199254740993, take `1.0` and `1e3` for integers,
 * replace bytes that are no UTF-8 and keep only the last of two equal names. That would falsify counts, so:
 *
 * - A number that is no integer literal, or `-0`, becomes a `NotAnInteger`, which no schema takes.
 * - An integer literal beyond 2^53 becomes a decimal string with the same digits where a count is expected.
 * - A body that is no UTF-8, or names the same field twice in one object, is refused.
 * - Depth is checked before anything is parsed. Texts are small: a batch is parsed entry by entry (`batch-parser.ts`).
 *
 * Looking at each literal's source text is slow (a callback per value), and hardly any body needs it: one whose
 * text has, behind a field's name, no number with 16 digits, a point, an exponent or `-0` is exact under plain
 * `JSON.parse`.
 */
import { isUtf8 } from 'node:buffer';
import { CountingError } from '../../counter/errors.ts';
import { quotesIn } from '../../std/json-quotes.ts';

/** A number literal that is no integer, kept as it was written. */
export class NotAnInteger {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** Fields that hold counts or times: here a literal beyond 2^53 and its decimal string mean the same. */
const INTEGER_FIELDS: ReadonlySet<string> = new Set(['by', 'value', 'floor', 'ceiling', 'ttl', 'at']);
/**
 * A number, as the value of a field, that plain `JSON.parse` may not read as it is meant. May match inside a string.
 */
const RISKY_NUMBER = /"\s*:\s*(?:-0|-?(?:\d{16}|\d+[.eE]))/;
/** Of the text alone, which may be one line of a body: its position says as much. */
const LINE_OF_TEXT = / \(line \d+ column \d+\)$/;
const INTEGER = /^(?:0|-?[1-9][0-9]*)$/;
/** No route accepts deeper nesting than a list of flat objects in an object. */
export const NESTING_MAX = 9;

type SourceReviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/**
 * The value of a JSON text.
 * @throws CountingError invalid_body
 */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw new CountingError('invalid_body', 'the body is not valid UTF-8');
  return parseExact(bytes, 'the body is not JSON');
}

/**
 * The same of a text that is valid UTF-8.
 * @param complaint when it is no JSON.
 * @throws CountingError invalid_body
 */
export function parseExact(bytes: Buffer, complaint: string): unknown {
  const quotes = quotesIn(bytes, NESTING_MAX);
  if (quotes < 0) throw new CountingError('invalid_body', 'the body is nested too deeply');
  const text = bytes.toString('utf8');
  let longLiterals = 0;
  const revive: SourceReviver = (key, value, context) => {
    if (typeof value !== 'number') return value;
    const source = context.source ?? '';
    if (!INTEGER.test(source)) return new NotAnInteger(source);
    if (Number.isSafeInteger(value) || !INTEGER_FIELDS.has(key)) return value;
    longLiterals++;
    return source;
  };
  let value: unknown;
  try {
    value = RISKY_NUMBER.test(text)
      ? JSON.parse(text, revive as (key: string, value: unknown) => unknown)
      : JSON.parse(text);
  } catch (error) {
    throw new CountingError('invalid_body', `${complaint}: ${(error as Error).message.replace(LINE_OF_TEXT, '')}`);
  }
  if (quotes !== 2 * (stringsIn(value) - longLiterals)) {
    throw new CountingError('invalid_body', 'an object in the body has the same field twice');
  }
  return value;
}

/** Names of fields and strings in a value. */
function stringsIn(value: unknown): number {
  if (typeof value === 'string') return 1;
  if (typeof value !== 'object' || value === null || value instanceof NotAnInteger) return 0;
  let strings = 0;
  if (Array.isArray(value)) {
    for (const item of value) strings += stringsIn(item);
    return strings;
  }
  for (const field in value) strings += 1 + stringsIn((value as Record<string, unknown>)[field]);
  return strings;
}
