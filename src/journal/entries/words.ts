/** Numbers and digests in the payload of an entry. */
const TWO_TO_32 = 4294967296;

/** Two words, low first; below 2^53. @param at a multiple of 4 */
export function readMs(words: Int32Array, at: number): number {
  return (words[(at >> 2) + 1] >>> 0) * TWO_TO_32 + (words[at >> 2] >>> 0);
}

/** Two words, low first. @param at a multiple of 4 */
export function readUint64(words: Int32Array, at: number): bigint {
  return (BigInt(words[(at >> 2) + 1] >>> 0) << 32n) | BigInt(words[at >> 2] >>> 0);
}

/** Bytes `[at, at + length)` in lower-case hex. */
export function readHex(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, at, length).toString('hex');
}
