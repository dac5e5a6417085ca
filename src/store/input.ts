/**
 * Data read from a store is input: a manual edit, a script, a damaged file or another program may have written it. Each
 * of these functions parses one field, in time bounded by its length; undefined: the field is invalid.
 */
import { fitsInt64, INT64_MAX } from '../counter/int64.ts';
import { NAME_BYTES_MAX } from '../counter/limits.ts';
import { CUT_VERSION_MAX } from '../crdt/cut.ts';
import type { ReplicaId } from './slot-store.ts';

const REPLICA = /^[0-9a-f]{32}$/;
const VERSION = /^[0-9]{1,19}$/;
const NET = /^-?[0-9]{1,19}$/;
/** Much longer than 64 bits: a base may be the sum of many slots. */
const BASE = /^-?[0-9]{1,40}$/;
const AUTHOR_CHARACTERS_MAX = 1_024;

export function isReplica(text: unknown): text is ReplicaId {
  return typeof text === 'string' && REPLICA.test(text);
}

/** Of a slot: from 1 to 2^63 - 1. */
export function readVersion(text: unknown, max = INT64_MAX): bigint | undefined {
  if (typeof text !== 'string' || !VERSION.test(text)) return undefined;
  const version = BigInt(text);
  return version > 0n && version <= max ? version : undefined;
}

/** Of a cut: far enough from the end of 64 bits that another one can follow. */
export function readCutVersion(text: unknown): bigint | undefined {
  return readVersion(text, CUT_VERSION_MAX);
}

export function readNet(text: unknown): bigint | undefined {
  if (typeof text !== 'string' || !NET.test(text)) return undefined;
  const net = BigInt(text);
  return fitsInt64(net) ? net : undefined;
}

export function readBase(text: unknown): bigint | undefined {
  return typeof text === 'string' && BASE.test(text) ? BigInt(text) : undefined;
}

export function readAuthor(text: unknown): string | undefined {
  return typeof text === 'string' && text.length <= AUTHOR_CHARACTERS_MAX ? text : undefined;
}

/** 1 to 255 bytes. */
export function isName(text: string): boolean {
  return text.length > 0 && text.length <= NAME_BYTES_MAX && Buffer.byteLength(text) <= NAME_BYTES_MAX;
}
