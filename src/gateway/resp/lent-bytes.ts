/**
 * Borrowed bytes: the read buffer that all sockets share, or one that the next delivery moves. Their content is valid
 * only until the end of the turn in which they were read. The type allows reading and copying, and is not a
 * `Uint8Array`: no function that keeps or sends bytes accepts it, so anything that outlives the turn must be a copy.
 */
export interface LentBytes {
  readonly length: number;
  /** Quotes and escapes of an inline request are resolved in place. */
  [index: number]: number;
  indexOf(byte: number, from?: number): number;
  toString(encoding: 'latin1' | 'utf8', start: number, end: number): string;
  /** Copies `[start, end)` to `target`. @returns the number of bytes copied */
  copy(target: Uint8Array, targetStart: number, start: number, end: number): number;
}

/** A copy of `bytes[start, end)`. */
export function owned(bytes: LentBytes, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
