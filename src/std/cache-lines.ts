/** Memory laid out for the machine's caches. */
import { assert } from './assert.ts';

const LINE_BYTES = 64;
/** The allocator of the usual systems gives a block that is longer than this its own pages, whatever it learnt before. */
const OWN_PAGES_BYTES = 32 * 1024 * 1024;
/** It keeps so many bytes for itself before the block. Where one does otherwise, lines straddle two of the machine's: slower, nothing else. */
const ALLOCATOR_BYTES = 16;

/**
 * Zeroed words that begin at the start of a cache line. What is not touched takes no memory: blocks are long for the
 * alignment's sake, and so that there are few.
 */
export function cacheAlignedWords(length: number): Int32Array {
  assert(length * 4 >= OWN_PAGES_BYTES && length % (LINE_BYTES / 4) === 0, 'a block of whole lines has its own pages');
  const skipped = LINE_BYTES - ALLOCATOR_BYTES;
  return new Int32Array(new ArrayBuffer(skipped + length * 4), skipped, length);
}
