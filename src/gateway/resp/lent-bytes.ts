/**
 * Bytes that belong to somebody else: the read buffer that all sockets share, or one that the next delivery moves. They
 * hold what they hold only until the turn in which they were read ends. The type lets them be read and copied, and is
 * no `Uint8Array`: nothing that keeps or sends bytes takes it, so what outlives the turn has to be a copy.
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
