/** What typed arrays lack. */

/** The same bytes as words, readable at any byte offset. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The longer column `to`, which begins with what is in `from`. */
export function grown<T extends Uint8Array | Uint16Array | Int32Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
