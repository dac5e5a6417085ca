/**
 * Slots, cuts and leases as parameters and rows. Counts are sent as decimal text, because a double cannot hold them.
 * Names are bytea, because text cannot hold a NUL.
 */
import { isUtf8 } from 'node:buffer';
import { NAME_BYTES_MAX } from '../../counter/limits.ts';
import { type Cut, noCut } from '../../crdt/cut.ts';
import type { Slot } from '../../crdt/slot.ts';
import { assert } from '../../std/assert.ts';
import { isReplica, readAuthor, readBase, readCutVersion, readNet, readVersion } from '../input.ts';
import type { CutRequest, DamagedState, Lease, NamedCut, NamedSlot, ReplicaId, StoredState } from '../slot-store.ts';

/** A parameter of a statement. */
export type Value = string | number | boolean | readonly (string | boolean)[];

export interface SlotRow {
  readonly name: Buffer;
  readonly replica: string;
  readonly version: string;
  readonly net: string;
}

export interface CutRow {
  readonly name: Buffer;
  readonly version: string;
  readonly author: string;
  readonly base: string;
  /** Any JSON: not validated yet. */
  readonly folded: unknown;
  readonly is_deleted: boolean;
}

/** A row of `STATE_COLUMNS`: a slot, or the cut of a counter, which has no replica. */
export type StateRow = (SlotRow & { readonly author: null }) | (CutRow & { readonly replica: null });

export interface LeaseRow {
  readonly replica: string;
  readonly version: string;
  readonly document: string;
}

/** For one result of slots and cuts. */
export const SLOT_COLUMNS =
  'name, replica, version, net, NULL::text AS author, NULL::numeric AS base, NULL::jsonb AS folded, NULL::boolean AS is_deleted';
export const CUT_COLUMNS =
  'name, NULL::uuid AS replica, version, NULL::bigint AS net, author, base, folded, is_deleted';

/**
 * Authors are compared here by code unit and there by byte: the same order for all characters before the surrogates.
 */
const ANOTHER_ORDER = /[\ud800-\uffff]/;

/** An array of bytea, as text. */
export function nameArray(names: readonly string[]): string {
  return `{${names.map((name) => `"\\\\x${Buffer.from(name).toString('hex')}"`).join()}}`;
}

/** The four parameters of slots. */
export function slotArrays(slots: readonly NamedSlot[]): Value[] {
  return [
    nameArray(slots.map(({ name }) => name)),
    `{${slots.map(({ replica }) => replica).join()}}`,
    `{${slots.map(({ version }) => version).join()}}`,
    `{${slots.map(({ net }) => net).join()}}`,
  ];
}

/** The six parameters of cuts. */
export function cutArrays(cuts: readonly NamedCut[]): Value[] {
  for (const { cut } of cuts) assert(!ANOTHER_ORDER.test(cut.author), 'an author has no characters beyond U+D7FF');
  return [
    nameArray(cuts.map(({ name }) => name)),
    `{${cuts.map(({ cut }) => cut.version).join()}}`,
    cuts.map(({ cut }) => cut.author),
    `{${cuts.map(({ cut }) => cut.base).join()}}`,
    cuts.map(({ cut }) => foldedJson(cut)),
    `{${cuts.map(({ cut }) => cut.isDeleted).join()}}`,
  ];
}

/** The seven parameters of requests for cuts. */
export function requestArrays(requests: readonly CutRequest[]): Value[] {
  const cuts = cutArrays(requests.map(({ name, next }) => ({ name, cut: next })));
  return [...cuts, `{${requests.map(({ expectedVersion }) => expectedVersion).join()}}`];
}

/** Undefined: invalid. */
export function namedSlot({ name, replica, version: at, net: count }: SlotRow): NamedSlot | undefined {
  const [version, net] = [readVersion(at), readNet(count)];
  if (version === undefined || net === undefined || !isStoredName(name)) return undefined;
  return { name: name.toString(), replica: replicaId(replica), version, net };
}

export function lease({ replica, version, document }: LeaseRow): Lease {
  return { replica: replicaId(replica), version: Number(version), document };
}

/** The slots and cuts among rows, and invalid rows. */
export interface Parts {
  readonly slots: NamedSlot[];
  readonly cuts: NamedCut[];
  readonly damaged: DamagedState[];
}

/** Never throws. */
export function parts(rows: Iterable<StateRow>): Parts {
  const told: Parts = { slots: [], cuts: [], damaged: [] };
  for (const row of rows) {
    if (row.replica === null) {
      const cut = isStoredName(row.name) ? cutOf(row) : undefined;
      if (cut === undefined)
        told.damaged.push({ name: row.name.toString(), why: 'the row of its cut is not as Tallyd writes it' });
      else told.cuts.push({ name: row.name.toString(), cut });
    } else {
      const slot = namedSlot(row);
      if (slot !== undefined) told.slots.push(slot);
      else told.damaged.push({ name: row.name.toString(), why: 'the row of a slot is not as Tallyd writes it' });
    }
  }
  return told;
}

/** In the order of the names; unknown counters are empty. */
export function statesOf(names: readonly string[], rows: Iterable<StateRow>): StoredState[] {
  const { slots, cuts, damaged } = parts(rows);
  const byName = Map.groupBy(slots, ({ name }) => name);
  const cutOfName = new Map(cuts.map(({ name, cut }) => [name, cut]));
  const damageOfName = new Map(damaged.map(({ name, why }) => [name, why]));
  return names.map((name) => {
    const damage = damageOfName.get(name);
    return {
      slots: new Map(byName.get(name)?.map(({ replica, version, net }) => [replica, { version, net }])),
      cut: cutOfName.get(name) ?? noCut(),
      ...(damage === undefined ? {} : { damage }),
    };
  });
}

function isStoredName(name: Buffer): boolean {
  return name.length > 0 && name.length <= NAME_BYTES_MAX && isUtf8(name);
}

function cutOf(row: CutRow): Cut<ReplicaId> | undefined {
  const [version, author, base] = [readCutVersion(row.version), readAuthor(row.author), readBase(row.base)];
  const folded = foldedOf(row.folded);
  if (version === undefined || author === undefined || base === undefined || folded === undefined) return undefined;
  return { version, author, base, folded, isDeleted: row.is_deleted };
}

function foldedOf(value: unknown): Map<ReplicaId, Slot> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const folded = new Map<ReplicaId, Slot>();
  for (const [key, entry] of Object.entries(value)) {
    const [at, count]: unknown[] = Array.isArray(entry) ? entry : [];
    const [id, version, net] = [replicaId(key), readVersion(at), readNet(count)];
    if (version === undefined || net === undefined || !isReplica(id)) return undefined;
    folded.set(id, { version, net });
  }
  return folded;
}

function foldedJson({ folded }: Cut<ReplicaId>): string {
  const entries = [...folded].map(([replica, { version, net }]) => [uuid(replica), [`${version}`, `${net}`]] as const);
  return JSON.stringify(Object.fromEntries(entries));
}

/** As PostgreSQL writes it. */
function uuid(replica: ReplicaId): string {
  return replica.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function replicaId(written: string): ReplicaId {
  return written.replaceAll('-', '');
}
