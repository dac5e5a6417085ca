/**
 * Slots, cuts and leases as parameters and rows. Counts travel as decimal text, for a double does not hold them. Names
 * are bytea, for text cannot hold a NUL.
 */
import { type Cut, noCut } from '../../crdt/cut.ts';
import type { CounterState } from '../../crdt/merge.ts';
import type { Slot } from '../../crdt/slot.ts';
import { assert } from '../../std/assert.ts';
import type { Lease, NamedCut, NamedSlot, ReplicaId } from '../slot-store.ts';
import type { Value } from './connections.ts';

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
  readonly folded: Readonly<Record<string, readonly [version: string, net: string]>>;
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

/** Authors are compared here by code unit and there by byte: the same order for all characters before the surrogates. */
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

export function namedSlot({ name, replica, version, net }: SlotRow): NamedSlot {
  return { name: name.toString(), replica: replicaId(replica), version: BigInt(version), net: BigInt(net) };
}

export function lease({ replica, version, document }: LeaseRow): Lease {
  return { replica: replicaId(replica), version: Number(version), document };
}

/** The slots and the cuts among rows. */
export function parts(rows: Iterable<StateRow>): { readonly slots: NamedSlot[]; readonly cuts: NamedCut[] } {
  const slots: NamedSlot[] = [];
  const cuts: NamedCut[] = [];
  for (const row of rows) {
    if (row.replica === null) cuts.push({ name: row.name.toString(), cut: cutOf(row) });
    else slots.push(namedSlot(row));
  }
  return { slots, cuts };
}

/** In the order of the names; what nobody knows is empty. */
export function statesOf(names: readonly string[], rows: Iterable<StateRow>): CounterState<ReplicaId>[] {
  const { slots, cuts } = parts(rows);
  const byName = Map.groupBy(slots, ({ name }) => name);
  const cutOfName = new Map(cuts.map(({ name, cut }) => [name, cut]));
  return names.map((name) => ({
    slots: new Map(byName.get(name)?.map(({ replica, version, net }) => [replica, { version, net }])),
    cut: cutOfName.get(name) ?? noCut(),
  }));
}

function cutOf({ version, author, base, folded, is_deleted }: CutRow): Cut<ReplicaId> {
  const slots = Object.entries(folded).map(([uuid, [at, net]]): [ReplicaId, Slot] => {
    return [replicaId(uuid), { version: BigInt(at), net: BigInt(net) }];
  });
  return { version: BigInt(version), author, base: BigInt(base), folded: new Map(slots), isDeleted: is_deleted };
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
