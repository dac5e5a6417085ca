/**
 * What lies in Redis, and as which text. Format 1:
 *
 *     {tallyd}:meta       hash: id, format, buckets
 *     {tallyd}:leases     hash: replica -> "version document"
 *     {tallyd:N}:state    hash: "b"       -> the bucket's record, "epoch:version"
 *                               "s" name  -> slots, "replica version net;" for each
 *                               "c" name  -> cut, "version author {...}"
 *     {tallyd:N}:feed     sorted set: name -> version of the bucket at the counter's last change
 *
 * A bucket is two keys that always exist, and no more: a command finds both on one server or on the other while their
 * hash slot moves between masters, and is not turned away for the length of the move, as it would be with a key for
 * each counter. Its version grows by one with every change; its epoch is made with it, so that a bucket that was lost
 * and made anew is another one. The feed holds each name once: it never outgrows the names, and no cursor is too old.
 *
 * Versions and nets of slots are decimal texts, for a number in Lua is a double. The bucket's version is one: it is
 * exact up to 2^53 changes, and so is a score.
 */
import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Cut } from '../../crdt/cut.ts';
import { noCut } from '../../crdt/cut.ts';
import type { CounterState } from '../../crdt/merge.ts';
import type { Slot } from '../../crdt/slot.ts';
import { assert } from '../../std/assert.ts';
import type { Lease, NamedSlot, ReplicaId } from '../slot-store.ts';

export const FORMAT = '1';

const REPLICA = /^[0-9a-f]{32}$/;
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

  /** Where a name belongs. Part of the format: another function would look for counters where they are not. */
  bucketOf(name: string): number {
    return crc32(name) % this.buckets.length;
  }
}

/** For a bucket that has to be made. */
export function newEpoch(): string {
  return randomBytes(EPOCH_BYTES).toString('hex');
}

/** A bucket's record. */
export interface BucketRecord {
  readonly epoch: string;
  readonly version: number;
}

export function parseRecord(text: string): BucketRecord | undefined {
  const [, epoch, version] = /^([0-9a-f]+):(\d{1,16})$/.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, version: Number(version) };
}

/** One of the slots of a counter, as the field of its name holds them. */
export function slotText({ replica, version, net }: Omit<NamedSlot, 'name'>): string {
  // The scripts find a replica by its text, which nothing else in the field can look like.
  assert(REPLICA.test(replica), 'a replica is 32 hexadecimal digits');
  return `${replica} ${version} ${net};`;
}

export function cutText(cut: Cut<ReplicaId>): string {
  const { version, author, base, isDeleted } = cut;
  const folded = Object.fromEntries(Array.from(cut.folded, ([id, slot]) => [id, `${slot.version} ${slot.net}`]));
  return `${version} ${sortable(author)} ${JSON.stringify({ author, base: `${base}`, isDeleted, folded })}`;
}

export function parseState(slots: string | null, cut: string | null): CounterState<ReplicaId> {
  const known = new Map<ReplicaId, Slot>();
  forEachSlot(slots ?? '', undefined, (replica, version, net) => known.set(replica, { version, net }));
  return { slots: known, cut: cut === null ? noCut() : parseCut(cut) };
}

/** Calls back for each of a counter's slots, as their field holds them, but for those of `except`. */
export function forEachSlot(
  text: string,
  except: ReplicaId | undefined,
  visit: (replica: ReplicaId, version: bigint, net: bigint) => void,
): void {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf(';', at);
    const replica = text.slice(at, at + 32);
    if (replica !== except) {
      const space = text.indexOf(' ', at + 33);
      visit(replica, BigInt(text.slice(at + 33, space)), BigInt(text.slice(space + 1, end)));
    }
    at = end + 1;
  }
}

export function parseCut(text: string): Cut<ReplicaId> {
  const json = JSON.parse(text.slice(text.indexOf('{'))) as {
    author: string;
    base: string;
    isDeleted: boolean;
    folded: Record<ReplicaId, string>;
  };
  const folded = Object.entries(json.folded).map(([id, slot]): [ReplicaId, Slot] => {
    const [version, net] = slot.split(' ') as [string, string];
    return [id, { version: BigInt(version), net: BigInt(net) }];
  });
  return {
    version: BigInt(text.slice(0, text.indexOf(' '))),
    author: json.author,
    base: BigInt(json.base),
    folded: new Map(folded),
    isDeleted: json.isDeleted,
  };
}

export function parseLease(replica: ReplicaId, text: string): Lease {
  const space = text.indexOf(' ');
  return { replica, version: Number(text.slice(0, space)), document: text.slice(space + 1) };
}

/** Digits whose order by bytes is the order of the texts in JavaScript, which is by UTF-16 units and not by UTF-8 bytes. */
function sortable(text: string): string {
  return Buffer.from(text, 'utf16le').swap16().toString('hex');
}

/** Some texts as one, short. */
export function digest(texts: readonly string[]): string {
  return createHash('sha256').update(texts.join(' ')).digest('hex').slice(0, 32);
}
