/**
 * The key of a record inside a replica: `(kind, name, suffix)`. Users choose only the name, of the kind `counter`.
 * Records that the product derives from a counter have another kind and carry their parameters in the suffix, so they
 * cannot collide with a user's name or exceed its 255 bytes.
 */

export const Kind = {
  /** A counter that a user named; no suffix. */
  counter: 0,
  /** One bucket of a counter's window: suffix = window length in seconds (u32), bucket number (u32). */
  window: 1,
  /** What one incarnation of this replica has counted on a shared counter: suffix = the incarnation's ordinal (u32). */
  slot: 2,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** The length of the suffix, in bytes, is a property of the kind: a record need not store it. */
export const SUFFIX_BYTES: readonly number[] = [0, 8, 4];

export const KIND_COUNT = SUFFIX_BYTES.length;
