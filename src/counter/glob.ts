/**
 * Redis-style patterns over bytes: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, and a backslash before a byte that is
 * meant literally. Matching is iterative with one backtrack point, so that no pattern takes exponential time
 * (Redis's own recursive matcher once did).
 */

const STAR = 42;
const QUESTION = 63;
const OPEN = 91;
const CLOSE = 93;
const CARET = 94;
const BACKSLASH = 92;
const DASH = 45;

export class Glob {
  readonly #pattern: Uint8Array;

  constructor(pattern: string) {
    this.#pattern = new TextEncoder().encode(pattern);
  }

  /** Whether the whole of `bytes[start, end)` matches. */
  matches(bytes: Uint8Array, start: number, end: number): boolean {
    const pattern = this.#pattern;
    let p = 0;
    let i = start;
    let starAt = -1;
    let starMatched = start;
    while (i < end) {
      if (p < pattern.length && pattern[p] === STAR) {
        starAt = p++;
        starMatched = i;
        continue;
      }
      const next = p < pattern.length ? this.#matchOne(p, bytes[i]) : -1;
      if (next >= 0) {
        p = next;
        i++;
      } else if (starAt >= 0) {
        p = starAt + 1;
        i = ++starMatched;
      } else {
        return false;
      }
    }
    while (p < pattern.length && pattern[p] === STAR) p++;
    return p === pattern.length;
  }

  /** The pattern position behind the element at `p` when it matches the byte, else -1. */
  #matchOne(p: number, byte: number): number {
    const pattern = this.#pattern;
    const element = pattern[p];
    if (element === QUESTION) return p + 1;
    if (element === OPEN) return this.#matchClass(p + 1, byte);
    const literal = element === BACKSLASH && p + 1 < pattern.length ? p + 1 : p;
    return pattern[literal] === byte ? literal + 1 : -1;
  }

  /** Like `#matchOne` for a class whose inside starts at `from`; an unclosed class ends with the pattern. */
  #matchClass(from: number, byte: number): number {
    const pattern = this.#pattern;
    let p = from;
    const negated = pattern[p] === CARET;
    if (negated) p++;
    let found = false;
    while (p < pattern.length && pattern[p] !== CLOSE) {
      if (pattern[p] === BACKSLASH && p + 1 < pattern.length) p++;
      const low = pattern[p];
      if (pattern[p + 1] === DASH && p + 2 < pattern.length && pattern[p + 2] !== CLOSE) {
        const high = pattern[p + 2];
        if (byte >= Math.min(low, high) && byte <= Math.max(low, high)) found = true;
        p += 3;
      } else {
        if (byte === low) found = true;
        p++;
      }
    }
    const behind = Math.min(p + 1, pattern.length);
    return found !== negated ? behind : -1;
  }
}
