/** Memory laid out for the machine's caches. */
import { assert } from './assert.ts';

const LINE_BYTES = 64;
/** The usual allocators give a block longer than this its own pages, regardless of their adaptive thresholds. */
const OWN_PAGES_BYTES = 32 * 1024 * 1024;
/**
 * The allocator's header before the block, in bytes. If an allocator differs, lines straddle two cache lines: slower,
 * but still correct.
 */
const ALLOCATOR_BYTES = 16;

/**
 * Zeroed words that begin at the start of a cache line. Untouched memory costs nothing: blocks are long for alignment,
 * and so that there are few.
 */
export function cacheAlignedWords(length: number): Int32Array {
  assert(length * 4 >= OWN_PAGES_BYTES && length % (LINE_BYTES / 4) === 0, 'a block of whole lines has its own pages');
  const skipped = LINE_BYTES - ALLOCATOR_BYTES;
  return new Int32Array(new ArrayBuffer(skipped + length * 4), skipped, length);
}
