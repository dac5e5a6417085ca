/**
 * Redis-style patterns over bytes: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, and a backslash before a literal byte.
 *
 * A pattern becomes an automaton with a state after each of its elements. A name is read once, and the set of reached
 * states is kept as bits. So the time depends only on the name's length, not on the pattern (Redis's own matcher once
 * took exponential time).
 */
import { CountingError } from './errors.ts';
import { NAME_BYTES_MAX, PATTERN_BYTES_MAX } from './limits.ts';

const STAR = 42;
const QUESTION = 63;
const OPEN = 91;
const CLOSE = 93;
const CARET = 94;
const BACKSLASH = 92;
const DASH = 45;
const BYTES = 256;

const encoder = new TextEncoder();

export class Glob {
  /** Elements that take one byte each. A pattern with more of them than a name has bytes never matches. */
  readonly #elements: number;
  /** Words of a set of states. */
  readonly #words: number;
  /** Per byte: the states from which an element takes it to the next. */
  readonly #takes: Int32Array;
  /** States that a star keeps on any byte. */
  readonly #stays: Int32Array;
  readonly #reached: Int32Array;

  /** @throws CountingError invalid_pattern if it is too long */
  constructor(pattern: string) {
    const bytes = encoder.encode(pattern);
    if (bytes.length > PATTERN_BYTES_MAX) throw new CountingError('invalid_pattern');
    const elements: Uint8Array[] = [];
    const stars: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      if (bytes[at] === STAR) {
        stars.push(elements.length);
        at++;
      } else {
        const taken = new Uint8Array(BYTES);
        at = readElement(bytes, at, taken);
        elements.push(taken);
      }
    }
    this.#elements = elements.length;
    this.#words = (Math.min(elements.length, NAME_BYTES_MAX) >>> 5) + 1;
    this.#takes = new Int32Array(BYTES * this.#words);
    this.#stays = new Int32Array(this.#words);
    this.#reached = new Int32Array(this.#words);
    if (elements.length > NAME_BYTES_MAX) return;
    for (const state of stars) this.#stays[state >>> 5] |= 1 << (state & 31);
    for (const [state, taken] of elements.entries()) {
      for (let byte = 0; byte < BYTES; byte++) {
        if (taken[byte] !== 0) this.#takes[byte * this.#words + (state >>> 5)] |= 1 << (state & 31);
      }
    }
  }

  /** The approximate cost of matching a long name, in tenths of a microsecond. */
  get steps(): number {
    return 4 * this.#words;
  }

  /** Whether the whole name `bytes[start, end)` matches. */
  matches(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#elements > NAME_BYTES_MAX) return false;
    const reached = this.#reached.fill(0);
    const words = this.#words;
    reached[0] = 1;
    for (let at = start; at < end; at++) {
      const takes = bytes[at] * words;
      let carry = 0;
      let any = 0;
      for (let word = 0; word < words; word++) {
        const moving = reached[word] & this.#takes[takes + word];
        reached[word] = (moving << 1) | carry | (reached[word] & this.#stays[word]);
        carry = moving >>> 31;
        any |= reached[word];
      }
      if (any === 0) return false;
    }
    return ((reached[this.#elements >>> 5] >>> (this.#elements & 31)) & 1) !== 0;
  }
}

/** Marks the bytes that the element at `at` takes. @returns the position after it. */
function readElement(pattern: Uint8Array, at: number, taken: Uint8Array): number {
  const element = pattern[at];
  if (element === QUESTION) {
    taken.fill(1);
    return at + 1;
  }
  if (element === OPEN) return readClass(pattern, at + 1, taken);
  const literal = element === BACKSLASH && at + 1 < pattern.length ? at + 1 : at;
  taken[pattern[literal]] = 1;
  return literal + 1;
}

/** The same for a class whose inside starts at `from`; an unclosed class ends with the pattern. */
function readClass(pattern: Uint8Array, from: number, taken: Uint8Array): number {
  let at = from;
  const isNegated = pattern[at] === CARET;
  if (isNegated) at++;
  while (at < pattern.length && pattern[at] !== CLOSE) {
    if (pattern[at] === BACKSLASH && at + 1 < pattern.length) at++;
    const low = pattern[at];
    if (pattern[at + 1] === DASH && at + 2 < pattern.length && pattern[at + 2] !== CLOSE) {
      const high = pattern[at + 2];
      taken.fill(1, Math.min(low, high), Math.max(low, high) + 1);
      at += 3;
    } else {
      taken[low] = 1;
      at++;
    }
  }
  if (isNegated) for (let byte = 0; byte < BYTES; byte++) taken[byte] ^= 1;
  return Math.min(at + 1, pattern.length);
}
