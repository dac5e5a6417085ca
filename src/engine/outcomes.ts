/** A chunk's outcomes as bytes, as an idempotency record keeps them. Little-endian. */
import type { Chunk } from '../counter/chunk.ts';
import { CHUNK_COMMANDS_MAX, OUTCOME_BYTES } from '../counter/limits.ts';
import { viewOf } from '../std/columns.ts';

/**
 * Outcomes are packed here first: a separate view for each of many small results would take longer than all the rest.
 */
const scratch = new Uint8Array(CHUNK_COMMANDS_MAX * OUTCOME_BYTES);
const scratchView = viewOf(scratch);

/**
 * Packs the outcomes of the commands [from, to): code and flags (u8 each), updated at (u32), value and other (i64
 * each).
 */
export function packOutcomes(chunk: Chunk, from: number, to: number): Uint8Array {
  for (let i = from; i < to; i++) {
    const at = (i - from) * OUTCOME_BYTES;
    scratch[at] = chunk.code[i];
    scratch[at + 1] = chunk.flags[i];
    scratchView.setUint32(at + 2, chunk.updatedAt[i], true);
    scratchView.setInt32(at + 6, chunk.value[2 * i], true);
    scratchView.setInt32(at + 10, chunk.value[2 * i + 1], true);
    scratchView.setInt32(at + 14, chunk.other[2 * i], true);
    scratchView.setInt32(at + 18, chunk.other[2 * i + 1], true);
  }
  return scratch.slice(0, (to - from) * OUTCOME_BYTES);
}

/** Fills the outcome columns of the commands [from, to) with packed outcomes; adds `flag` to each. */
export function unpackOutcomes(packed: Uint8Array, chunk: Chunk, from: number, to: number, flag: number): void {
  const view = viewOf(packed);
  for (let i = from; i < to; i++) {
    const at = (i - from) * OUTCOME_BYTES;
    chunk.code[i] = packed[at];
    chunk.flags[i] = packed[at + 1] | flag;
    chunk.updatedAt[i] = view.getUint32(at + 2, true);
    chunk.value[2 * i] = view.getInt32(at + 6, true);
    chunk.value[2 * i + 1] = view.getInt32(at + 10, true);
    chunk.other[2 * i] = view.getInt32(at + 14, true);
    chunk.other[2 * i + 1] = view.getInt32(at + 18, true);
  }
}
