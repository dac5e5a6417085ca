/**
 * The default shares of the memory that the process may use. Of the memory that is unused at the start, half is for
 * counters, an eighth for idempotency keys, a sixteenth for what clients make each door hold, and the rest for groups
 * on their way to the disk and uncollected garbage.
 */
import { getHeapStatistics } from 'node:v8';
import { HTTP_BODY_BYTES_MAX } from '../counter/limits.ts';
import { IDEMPOTENCY_DEFAULTS } from '../engine/idempotency.ts';
import { type MemoryLimit, memoryLimit } from '../host/node/memory.ts';

const COUNTERS_PART = 1 / 2;
const KEYS_PART = 1 / 8;
const DOOR_PART = 1 / 16;
/** Of the heap's limit: keys lie in the heap. */
const KEYS_HEAP_PART = 1 / 4;
/** If there is no memory at all, the operating system reports it, not this code. */
const BYTES_MIN = 8 * 2 ** 20;
/** Room for one batch of the maximum size and its answer. */
const DOOR_BYTES_MIN = 4 * HTTP_BODY_BYTES_MAX;

export interface MemoryBudget {
  /** Counters, their deadlines, ids of imports. */
  readonly countersBytes: number;
  readonly keysBytes: number;
  /** What clients make each door hold. */
  readonly doorBytes: number;
  readonly limit: MemoryLimit;
}

export function memoryBudget(limit = memoryLimit(), heapBytes = getHeapStatistics().heap_size_limit): MemoryBudget {
  const leftBytes = Math.max(0, limit.bytes - limit.usedBytes);
  const keysBytes = Math.min(IDEMPOTENCY_DEFAULTS.bytesMax, leftBytes * KEYS_PART, heapBytes * KEYS_HEAP_PART);
  return {
    countersBytes: Math.floor(Math.max(BYTES_MIN, leftBytes * COUNTERS_PART)),
    keysBytes: Math.floor(Math.max(BYTES_MIN, keysBytes)),
    doorBytes: Math.floor(Math.max(DOOR_BYTES_MIN, leftBytes * DOOR_PART)),
    limit,
  };
}
