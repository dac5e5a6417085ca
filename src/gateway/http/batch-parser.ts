/**
 * Parses the body of a batch, of any shape, in steps: each entry is parsed by itself, so that no step exceeds its share
 * of a turn, no matter how large the body is. Each `yield` is the end of a step.
 */
import { isUtf8 } from 'node:buffer';
import { CountingError } from '../../counter/errors.ts';
import { BATCH_ENTRIES_MAX } from '../../counter/limits.ts';
import { NESTING_MAX, parseExact } from './json.ts';
import type { Work } from './turns.ts';

/** The content of a body. */
export interface ParsedBatch {
  /** At most as many as a batch may have. */
  readonly entries: readonly unknown[];
  /** How many there are. */
  readonly count: number;
  /** The object around them without them, if there is one. */
  readonly around: object | undefined;
}

/** The longest useful entry takes 5 KiB: 255 escaped bytes of a name and of an id, and integers. */
const ENTRY_BYTES_MAX = 64 * 1024;
/** Commas and line ends between values: of the longest batch, with every field on a line of its own, and no more. */
const SEPARATORS_MAX = BATCH_ENTRIES_MAX * 20;
const STEP_ENTRIES = 256;
const STEP_BYTES = 64 * 1024;
/** Scanning a byte is cheaper than parsing it. */
const SURVEY_BYTES = 1024 * 1024;
/** A first line that is an object, with more after it. */
const FIRST_LINE = /^\s*\{[^\n]*\}[ \t\r]*\n/;
const COMPLAINT = 'the body is not JSON';

const LINE_END = 10;
const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/** 1 for what may stand between values. */
const SPACES = new Uint8Array(256);
for (const byte of Buffer.from(' \t\r\n')) SPACES[byte] = 1;

/** Any body. @throws CountingError invalid_body, body_too_large */
export function* parseBatchBody(bytes: Buffer, areLines: boolean): Work<ParsedBatch> {
  if (!isUtf8(bytes)) throw new CountingError('invalid_body', 'the body is not valid UTF-8');
  if (bytes.length > SURVEY_BYTES) yield;
  yield* survey(bytes);
  if (areLines) return yield* parseLines(bytes);
  const walk = new Walk(bytes);
  try {
    const batch = yield* parseValue(walk);
    walk.skipSpace();
    if (!walk.isAtEnd) throw walk.unexpected();
    return batch;
  } catch (error) {
    // Several lines, each an object, are not JSON as a whole.
    if (FIRST_LINE.test(bytes.toString('latin1', 0, ENTRY_BYTES_MAX))) return yield* parseLines(bytes);
    throw error;
  }
}

/** Checked before anything is parsed: millions of tiny values take memory, and valid input is not nested. */
function* survey(bytes: Buffer): Work<void> {
  let separators = 0;
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SURVEY_BYTES);
    for (; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) isInString = !isInString;
      else if (isInString) at += byte === BACKSLASH ? 1 : 0;
      else if (byte === COMMA || byte === LINE_END) separators++;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++;
      else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--;
      if (depth > NESTING_MAX) throw new CountingError('invalid_body', 'the body is nested too deeply');
    }
    if (separators > SEPARATORS_MAX) throw new CountingError('body_too_large', 'the body has too many values');
    if (at < bytes.length) yield;
  }
}

function* parseLines(bytes: Buffer): Work<ParsedBatch> {
  const entries: unknown[] = [];
  let count = 0;
  const step = new Step();
  let number = 1;
  for (let at = 0; at < bytes.length; number++) {
    const lineEnd = bytes.indexOf(LINE_END, at);
    const end = lineEnd < 0 ? bytes.length : lineEnd;
    let start = at;
    while (start < end && SPACES[bytes[start]] === 1) start++;
    if (start < end) {
      if (end - start > ENTRY_BYTES_MAX) throw tooLong();
      if (count++ < BATCH_ENTRIES_MAX) {
        entries.push(parseExact(bytes.subarray(start, end), `line ${number} is not JSON`));
      }
    }
    if (step.isOver(end - at)) yield;
    at = end + 1;
  }
  return { entries, count, around: undefined };
}

function* parseValue(walk: Walk): Work<ParsedBatch> {
  walk.skipSpace();
  if (walk.take(OPEN_ARRAY)) return { ...(yield* parseArray(walk)), around: undefined };
  if (walk.take(OPEN_OBJECT)) return yield* parseObject(walk);
  parseExact(walk.value(), COMPLAINT);
  walk.skipSpace();
  if (!walk.isAtEnd) throw walk.unexpected();
  throw new CountingError('invalid_body', 'a batch is a JSON array, an object with "updates", or NDJSON');
}

/** @param walk is after the opening bracket. */
function* parseArray(walk: Walk): Work<{ entries: unknown[]; count: number }> {
  const entries: unknown[] = [];
  let count = 0;
  const step = new Step();
  walk.skipSpace();
  if (walk.take(CLOSE_ARRAY)) return { entries, count };
  for (;;) {
    const from = walk.at;
    const text = walk.value();
    if (count < BATCH_ENTRIES_MAX) entries.push(parseExact(text, `the entry with index ${count} is not JSON`));
    count++;
    walk.skipSpace();
    if (walk.take(CLOSE_ARRAY)) return { entries, count };
    walk.expect(COMMA);
    walk.skipSpace();
    if (step.isOver(walk.at - from)) yield;
  }
}

/**
 * An object: its field `updates`, if that is an array, has the entries; without it the object is the entry.
 * @param walk is after the opening brace.
 */
function* parseObject(walk: Walk): Work<ParsedBatch> {
  const fields: string[] = [];
  let bytes = 0;
  let updates: { entries: unknown[]; count: number } | undefined;
  walk.skipSpace();
  for (let isFirst = true; !(isFirst && walk.take(CLOSE_OBJECT)); isFirst = false) {
    const name = walk.value();
    walk.skipSpace();
    walk.expect(COLON);
    walk.skipSpace();
    if (updates === undefined && walk.isAt(OPEN_ARRAY) && isUpdates(name)) {
      walk.take(OPEN_ARRAY);
      updates = yield* parseArray(walk);
      fields.push('"updates":[]');
    } else {
      const value = walk.value();
      bytes += name.length + value.length;
      if (bytes > ENTRY_BYTES_MAX) throw tooLong();
      fields.push(`${name.toString('utf8')}:${value.toString('utf8')}`);
    }
    walk.skipSpace();
    if (walk.take(CLOSE_OBJECT)) break;
    walk.expect(COMMA);
    walk.skipSpace();
  }
  const around = parseExact(Buffer.from(`{${fields.join(',')}}`), COMPLAINT) as object;
  if (updates !== undefined) return { ...updates, around };
  return 'updates' in around ? { entries: [], count: 0, around } : { entries: [around], count: 1, around: undefined };
}

function isUpdates(name: Buffer): boolean {
  return parseExact(name, COMPLAINT) === 'updates';
}

function tooLong(): CountingError {
  return new CountingError('body_too_large', `an entry of a batch takes up to ${ENTRY_BYTES_MAX} bytes`);
}

/** How much a step has done. */
class Step {
  #bytes = 0;
  #entries = 0;

  /** Adds an entry. @returns whether the step is full; then a new step begins. */
  isOver(bytes: number): boolean {
    this.#bytes += bytes;
    if (++this.#entries < STEP_ENTRIES && this.#bytes < STEP_BYTES) return false;
    this.#bytes = 0;
    this.#entries = 0;
    return true;
  }
}

/** Walks through a text from value to value, without interpreting the values. */
class Walk {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  isAt(byte: number): boolean {
    return this.bytes[this.at] === byte;
  }

  skipSpace(): void {
    const start = this.at;
    const end = start + ENTRY_BYTES_MAX;
    while (SPACES[this.bytes[this.at]] === 1 && this.at <= end) this.at++;
    if (this.at > end) throw new CountingError('invalid_body', 'the body has too much white space');
  }

  /** Passes this byte, if it is here. */
  take(byte: number): boolean {
    if (!this.isAt(byte)) return false;
    this.at++;
    return true;
  }

  expect(byte: number): void {
    if (!this.take(byte)) throw this.unexpected();
  }

  /** Passes a value, or the text in its place, and returns it. */
  value(): Buffer {
    const { bytes } = this;
    const start = this.at;
    const end = Math.min(bytes.length, start + ENTRY_BYTES_MAX);
    let depth = 0;
    let isInString = false;
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) isInString = !isInString;
      else if (isInString) at += byte === BACKSLASH ? 1 : 0;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++;
      else if (depth > 0) depth -= byte === CLOSE_ARRAY || byte === CLOSE_OBJECT ? 1 : 0;
      else if (byte === COMMA || byte === COLON || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT || SPACES[byte] === 1)
        break;
    }
    if (at >= end && end < bytes.length) throw tooLong();
    this.at = Math.min(at, bytes.length);
    return bytes.subarray(start, this.at);
  }

  unexpected(): CountingError {
    const what = this.isAtEnd ? 'it ends too early' : `unexpected character at position ${this.at}`;
    return new CountingError('invalid_body', `${COMPLAINT}: ${what}`);
  }
}
