/** Memory laid out for the machine's caches. */

const LINE_BYTES = 64;
/**
 * The system's allocators keep 16 bytes of their own at the start of a large block, which begins at a page. Where
 * one does otherwise, lines straddle two of the machine's: slower, nothing else.
 */
const ALLOCATOR_BYTES = 16;

/** Zeroed words, a whole number of cache lines, that begin at the start of one. For large blocks. */
export function cacheAlignedWords(length: number): Int32Array {
  const skipped = LINE_BYTES - ALLOCATOR_BYTES;
  return new Int32Array(new ArrayBuffer(length * 4 + skipped), skipped, length);
}
