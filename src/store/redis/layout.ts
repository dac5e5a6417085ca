/**
 * The data in Redis and its text format. Format 1:
 *
 *     {tallyd}:meta       hash: id, format, buckets
 *     {tallyd}:leases     hash: replica -> "version document"
 *     {tallyd:N}:state    hash: "b"       -> the bucket's position, "epoch:version"
 *                               "s" name  -> slots, "replica version net;" for each; "?text;" for what was damaged
 *                               "c" name  -> cut, "version author {...}"
 *     {tallyd:N}:feed     sorted set: name -> version of the bucket at the counter's last change
 *
 * A bucket is exactly two keys that always exist. While their hash slot moves between masters, a command finds both on
 * one server or on the other, and is not refused during the move, as it would be with a key for each counter. Its
 * version grows by one with every change. Its epoch is created with it, so a bucket that was lost and recreated is a
 * different one. The feed holds each name once: it never outgrows the names, and no cursor is too old.
 *
 * Versions and nets of slots are decimal texts, because a number in Lua is a double. The bucket's version is one: it is
 * exact up to 2^53 changes, and so is a score.
 */
import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Cut } from '../../crdt/cut.ts';
import { noCut } from '../../crdt/cut.ts';
import type { Slot } from '../../crdt/slot.ts';
import { assert } from '../../std/assert.ts';
import { isReplica, readAuthor, readBase, readCutVersion, readNet, readVersion } from '../input.ts';
import type { Lease, NamedSlot, ReplicaId, StoredState } from '../slot-store.ts';

export const FORMAT = '1';

const REPLICA_CHARACTERS = 32;
/** With some two hundred thousand folded replicas. */
const CUT_CHARACTERS_MAX = 16_777_216;
const DAMAGED_SLOTS = 'its slots are not as Tallyd writes them';
export const DAMAGED_CUT = 'its cut is not as Tallyd writes it';
const EPOCH_BYTES = 6;

export interface BucketKeys {
  readonly state: string;
  readonly feed: string;
}

/** The keys of one store. */
export class Layout {
  readonly meta: string;
  readonly leases: string;
  readonly buckets: readonly BucketKeys[];

  constructor(prefix: string, bucketCount: number) {
    this.meta = `{${prefix}}:meta`;
    this.leases = `{${prefix}}:leases`;
    this.buckets = Array.from({ length: bucketCount }, (_, i) => ({
      state: `{${prefix}:${i}}:state`,
      feed: `{${prefix}:${i}}:feed`,
    }));
  }

  /** The bucket of a name. Part of the format: another function would not find existing counters. */
  bucketOf(name: string): number {
    return crc32(name) % this.buckets.length;
  }
}

/** For a bucket that must be created. */
export function newEpoch(): string {
  return randomBytes(EPOCH_BYTES).toString('hex');
}

/** A bucket's position. */
export interface BucketPosition {
  readonly epoch: string;
  readonly version: number;
}

export function parsePosition(text: string): BucketPosition | undefined {
  const [, epoch, version] = /^([0-9a-f]+):(\d{1,16})$/.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, version: Number(version) };
}

/** One of the slots of a counter, as the field of its name holds them. */
export function slotText({ replica, version, net }: Omit<NamedSlot, 'name'>): string {
  // The scripts find a replica by its text, which nothing else in the field can match.
  assert(isReplica(replica), 'a replica is 32 hexadecimal digits');
  return `${replica} ${version} ${net};`;
}

export function cutText(cut: Cut<ReplicaId>): string {
  const { version, author, base, isDeleted } = cut;
  const folded = Object.fromEntries(Array.from(cut.folded, ([id, slot]) => [id, `${slot.version} ${slot.net}`]));
  return `${version} ${sortable(author)} ${JSON.stringify({ author, base: `${base}`, isDeleted, folded })}`;
}

/** Never throws. */
export function parseState(slots: string | null, cut: string | null): StoredState {
  const known = new Map<ReplicaId, Slot>();
  const damage = forEachSlot(slots ?? '', undefined, (replica, version, net) => known.set(replica, { version, net }));
  const parsed = cut === null ? noCut<ReplicaId>() : parseCut(cut);
  const state = { slots: known, cut: parsed ?? noCut<ReplicaId>() };
  const why = parsed === undefined ? DAMAGED_CUT : damage;
  return why === undefined ? state : { ...state, damage: why };
}

/**
 * Calls back for each of a counter's slots in its field, except those of `except`. Never throws.
 * @returns why a part of the text is not a slot
 */
export function forEachSlot(
  text: string,
  except: ReplicaId | undefined,
  visit: (replica: ReplicaId, version: bigint, net: bigint) => void,
): string | undefined {
  let damage: string | undefined;
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf(';', at);
    if (end < 0) return DAMAGED_SLOTS;
    const replica = text.slice(at, at + REPLICA_CHARACTERS);
    if (replica !== except) {
      const space = text.indexOf(' ', at + REPLICA_CHARACTERS + 1);
      const version = readVersion(text.slice(at + REPLICA_CHARACTERS + 1, space));
      const net = space < end ? readNet(text.slice(space + 1, end)) : undefined;
      const isApart = text[at + REPLICA_CHARACTERS] === ' ';
      if (version === undefined || net === undefined || !isApart || !isReplica(replica)) damage = DAMAGED_SLOTS;
      else visit(replica, version, net);
    }
    at = end + 1;
  }
  return damage;
}

/** Undefined: it is damaged. Never throws. */
export function parseCut(text: string): Cut<ReplicaId> | undefined {
  const [, head, sorted] = /^([0-9]{1,19}) ([0-9a-f]*) \{/.exec(text) ?? [];
  const version = readCutVersion(head);
  if (version === undefined || text.length > CUT_CHARACTERS_MAX) return undefined;
  const { author: name, base: count, isDeleted, folded: slots } = parseObject(text.slice(text.indexOf('{')));
  const [author, base, folded] = [readAuthor(name), readBase(count), parseFolded(slots)];
  if (author === undefined || sortable(author) !== sorted) return undefined;
  if (base === undefined || folded === undefined || typeof isDeleted !== 'boolean') return undefined;
  return { version, author, base, folded, isDeleted };
}

function parseFolded(value: unknown): Map<ReplicaId, Slot> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const folded = new Map<ReplicaId, Slot>();
  for (const [id, slot] of Object.entries(value)) {
    const [at, count, ...rest] = typeof slot === 'string' ? slot.split(' ', 3) : [];
    const [version, net] = [readVersion(at), readNet(count)];
    if (version === undefined || net === undefined || rest.length > 0 || !isReplica(id)) return undefined;
    folded.set(id, { version, net });
  }
  return folded;
}

/** Without members if it is not an object. */
function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** An unreadable lease has the version that a swap would find in it, and no document. */
export function parseLease(replica: ReplicaId, text: string): Lease {
  const [digits] = /^[0-9]*/.exec(text) ?? [''];
  const document = text[digits.length] === ' ' ? text.slice(digits.length + 1) : '';
  return { replica, version: Number(digits), document };
}

/**
 * Digits whose order by bytes is the order of the texts in JavaScript, which is by UTF-16 units and not by UTF-8 bytes.
 */
function sortable(text: string): string {
  return Buffer.from(text, 'utf16le').swap16().toString('hex');
}

/** Joins texts into one short text. */
export function digest(texts: readonly string[]): string {
  return createHash('sha256').update(texts.join(' ')).digest('hex').slice(0, 32);
}
