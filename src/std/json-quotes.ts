/**
 * The quotes of a JSON text. In well-formed JSON every name and every string has two quotes. If a text has more than
 * its parsed value accounts for, some object has the same field twice, and `JSON.parse` kept only the last.
 */
const QUOTE = 34;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/** The number of unescaped quotes in a text. Negative: it is nested more deeply than `nestingMax`. */
export function quotesIn(bytes: Uint8Array, nestingMax: number): number {
  let quotes = 0;
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++;
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth--;
    if (depth > nestingMax) return -1;
    if (byte !== QUOTE) continue;
    quotes++;
    for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    if (i < bytes.length) quotes++;
  }
  return quotes;
}
