/** Snapshots that copy the table: what a start makes of them, whatever happens to the table while they are written. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { seeds } from '../../test/seed.ts';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { SimulatedClock, simulatedHost } from '../../test/simulation/host.ts';
import { Recorder } from '../../test/simulation/journal-model.ts';
import { Kind } from '../counter/key.ts';
import type { Policy } from '../counter/policy.ts';
import type { GroupBuffer } from '../journal/group.ts';
import { Journal } from '../journal/journal.ts';
import { SeededRandom } from '../std/random.ts';
import { SnapshotParts } from './encoding.ts';
import { IDEMPOTENCY_DEFAULTS, IdempotencyStore } from './idempotency.ts';
import { Loading } from './loading.ts';
import { Memory } from './memory.ts';
import { Records } from './records.ts';
import { FIRST_UNIT, Meta, Slab } from './slab.ts';

const MANY = 20_000;
const HASH_KEY = new Uint8Array(8).fill(5);

interface State {
  readonly low: number;
  readonly deadlineMs: number | undefined;
}

function keys(): IdempotencyStore {
  return new IdempotencyStore(IDEMPOTENCY_DEFAULTS, new SimulatedClock(), new Memory(), new Uint8Array(8));
}

function newRecords(policies: readonly Policy[] = [], hashKey = HASH_KEY): Records {
  return new Records({ hashKey, policies, countersMax: 1e9, memory: new Memory(), groups: [] });
}

/** Records by name, as they are changed beside a model. */
class Counters {
  readonly records: Records;
  readonly model = new Map<string, State>();

  constructor(records = newRecords()) {
    this.records = records;
  }

  set(name: string, low: number, deadlineMs?: number): void {
    const { table } = this.records;
    const { key, length } = keyOf(name);
    const hash = table.hash(Kind.counter, length, key, 0);
    let ref = table.find(hash, Kind.counter, length, key, 0);
    if (ref === 0) ref = table.insert(hash, Kind.counter, length, key, 0);
    this.records.clearDeadline(ref);
    this.records.write(ref, low, 0, 7);
    if (deadlineMs !== undefined) this.records.setDeadline(ref, deadlineMs);
    this.model.set(name, { low, deadlineMs });
  }

  delete(name: string): void {
    this.records.forget(this.ref(name));
    this.model.delete(name);
  }

  ref(name: string): number {
    const { key, length } = keyOf(name);
    return this.records.table.find(this.records.table.hash(Kind.counter, length, key, 0), Kind.counter, length, key, 0);
  }
}

function keyOf(name: string): { key: DataView; length: number } {
  const bytes = new Uint8Array(Buffer.from(name));
  return { key: new DataView(bytes.buffer), length: bytes.length };
}

/** A table of many records of all lengths, some with deadlines, a tenth of them removed again. */
function someCounters(seed = 1): Counters {
  const random = new SeededRandom(seed);
  const counters = new Counters();
  const name = (i: number) => `${'n'.repeat(1 + ((i * 7) % 90))}${i}`;
  for (let i = 0; i < MANY; i++) counters.set(name(i), i, random.chance(0.1) ? 1 + i : undefined);
  for (let i = 0; i < MANY; i += 10) counters.delete(name(i));
  return counters;
}

/** Writes the snapshot, with `between` after each part, and reads it into `into`. */
async function restart(
  counters: Counters,
  withIndex: boolean,
  between: () => void = () => undefined,
  into: Records = newRecords([], new Uint8Array(8).fill(9)),
): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk({ seed: 1 });
  const host = simulatedHost(1);
  const journal = await Journal.open({ disk, host, replay: new Recorder() });
  const parts = new SnapshotParts(counters.records, keys(), withIndex);
  const next = (part: GroupBuffer): boolean => {
    const hasMore = parts.next(part);
    between();
    return hasMore;
  };
  await journal.snapshot(
    { next },
    () => journal.sequence,
    async () => undefined,
  );
  await journal.close();
  const replay = new Loading(into, keys());
  await Journal.open({ disk, host, replay });
  return disk;
}

/** All records, by walking; each is found by its name, and can be removed and made again. */
function contentOf(records: Records): Map<string, State> {
  const { slab, table } = records;
  const content = new Map<string, State>();
  for (let at = FIRST_UNIT; at < slab.frontier; at = slab.behind(at)) {
    if (!slab.isRecord(at)) continue;
    const start = Slab.keyByte(at);
    const length = records.meta(at) & Meta.nameLengthMask;
    const name = Buffer.from(slab.bytes[Slab.piece(at)].subarray(start, start + length)).toString();
    expect(content.has(name), `${name} is there once`).toBe(false);
    const view = slab.views[Slab.piece(at)];
    expect(table.find(table.hash(Kind.counter, length, view, start), Kind.counter, length, view, start)).toBe(at);
    expect((records.meta(at) & Meta.deadline) !== 0).toBe(records.deadlines.get(at) !== undefined);
    content.set(name, { low: slab.lanes[Slab.piece(at)][Slab.lane(at)], deadlineMs: records.deadlines.get(at) });
  }
  expect(table.count).toBe(content.size);
  return content;
}

describe.each([
  ['without its index', false],
  ['with its index', true],
])('a copy of the table %s', (_title, withIndex) => {
  it('gives the same records, found by the same names, with their deadlines', async () => {
    const counters = someCounters();
    const records = newRecords([], new Uint8Array(8).fill(9));
    await restart(counters, withIndex, undefined, records);
    expect(contentOf(records)).toEqual(counters.model);
    expect(records.table.hashKey).toEqual(withIndex ? HASH_KEY : new Uint8Array(8).fill(9));
    expect(records.deadlines.size).toBe(counters.records.deadlines.size);
  });

  it('gives a table that goes on like any other: free blocks are used again, records come and go', async () => {
    const counters = someCounters();
    const records = newRecords();
    await restart(counters, withIndex, undefined, records);
    const again = new Counters(records);
    for (const [name, state] of contentOf(records)) again.model.set(name, state);
    const { frontier, freeUnits } = records.slab;
    expect([frontier, freeUnits]).toEqual([counters.records.slab.frontier, counters.records.slab.freeUnits]);
    for (const name of [...again.model.keys()].slice(0, 2000)) again.delete(name);
    for (let i = 0; i < 2000; i++) again.set(`${'m'.repeat(1 + ((i * 7) % 90))}${i}`, i);
    expect(records.slab.frontier - frontier).toBeLessThan(2000);
    for (let i = 0; i < MANY; i++) again.set(`later ${i}`, i);
    expect(contentOf(records)).toEqual(again.model);
  });

  it('may come on top of records that are there already', async () => {
    const counters = someCounters();
    const records = newRecords();
    const before = new Counters(records);
    before.set('only there', 1);
    const [name] = [...counters.model].find(([, { deadlineMs }]) => deadlineMs === undefined) as [string, State];
    before.set(name, -1, 5);
    await restart(counters, withIndex, undefined, records);
    const expected = new Map([...counters.model, ['only there', { low: 1, deadlineMs: undefined }]]);
    expect(contentOf(records)).toEqual(expected);
  });

  it('is told as states to whoever has no table', async () => {
    const counters = someCounters();
    const disk = await restart(counters, withIndex);
    const recorder = new Recorder();
    await Journal.open({ disk, host: simulatedHost(1), replay: recorder });
    expect(recorder.state.size).toBe(counters.model.size);
    const deadlines = [...recorder.state.values()].filter((entries) => entries.length === 2);
    expect(deadlines.length).toBe(counters.records.deadlines.size);
  });

  it('takes the policies of the process that reads it', async () => {
    const counters = new Counters(newRecords([{ match: 'a*', floor: 0n }]));
    for (let i = 0; i < 100; i++) counters.set(`${i % 2 === 0 ? 'a' : 'b'}${i}`, i);
    for (const name of counters.model.keys()) counters.records.classify(counters.ref(name));
    const records = newRecords([{ match: 'b*', floor: 0n }]);
    await restart(counters, withIndex, undefined, records);
    const again = new Counters(records);
    for (const name of counters.model.keys()) {
      expect((records.meta(again.ref(name)) & Meta.bounded) !== 0, name).toBe(name.startsWith('b'));
    }
  });
});

describe('a copy that is written beside traffic', () => {
  it.each(seeds(3))('has every record that nothing touched, and each name once (seed %i)', async (seed) => {
    const random = new SeededRandom(seed);
    const counters = someCounters(seed);
    const untouched = new Map(counters.model);
    const names = [...counters.model.keys()];
    let made = 0;
    const between = (): void => {
      for (let i = 0; i < 200; i++) {
        const name = random.pick(names);
        untouched.delete(name);
        if (counters.model.has(name) && random.chance(0.5)) counters.delete(name);
        else counters.set(name, -1, random.chance(0.3) ? 3 : undefined);
        counters.set(`${'x'.repeat(random.below(90))}${made++}`, 1);
      }
    };
    const records = newRecords();
    await restart(counters, false, between, records);
    const content = contentOf(records);
    for (const [name, state] of untouched) expect(content.get(name), name).toEqual(state);
  });

  it('cannot have the index, and is not installed', async () => {
    const counters = someCounters();
    const writing = restart(counters, true, () => counters.set('late', 1));
    await expect(writing).rejects.toThrow('a table does not change while it is copied with its index');
  });
});

// A start believes the copy of an index: places in it, and the hashes that led to them, are part of the format.
it('an index is copied as it is pinned here: its lines, and the hashes that they follow from', async () => {
  const counters = new Counters();
  for (let i = 0; i < 5000; i++) counters.set(`${'n'.repeat(1 + (i % 40))}${i}`, i, i % 100 === 0 ? i : undefined);
  const disk = await restart(counters, true);
  const snapshot = (await disk.list()).find((name) => name.endsWith('.snap')) as string;
  expect([disk.content(snapshot).length, crc32(disk.content(snapshot))]).toEqual([275_456, 898_316_632]);
});

it('that ends early, because it is found damaged, leaves its records to be found, and another snapshot comes on top', async () => {
  const counters = someCounters();
  const disk = await restart(counters, true);
  const records = newRecords();
  const loading = new Loading(records, keys());
  let leaves = 0;
  const replay = new Proxy(loading, {
    get: (target, name: keyof Loading) => {
      if (name === 'indexLeaf' && leaves++ > 3) return () => undefined;
      return target[name].bind(target);
    },
  });
  await Journal.open({ disk, host: simulatedHost(1), replay });
  expect(leaves).toBeGreaterThan(4);
  expect(contentOf(records)).toEqual(counters.model);
});

it('leaves out the index while a deleted record waits for the journal', async () => {
  const counters = someCounters();
  const [name] = counters.model.keys();
  counters.records.markDeleted(counters.ref(name as string));
  counters.model.delete(name as string);
  const records = newRecords([], new Uint8Array(8).fill(9));
  await restart(counters, true, undefined, records);
  expect(records.table.hashKey).not.toEqual(HASH_KEY);
  expect(contentOf(records)).toEqual(counters.model);
});

it('records are encoded one by one where much of the table is free', async () => {
  const counters = someCounters();
  for (const name of [...counters.model.keys()].filter((_name, i) => i % 2 === 0)) counters.delete(name);
  const records = newRecords();
  const disk = await restart(counters, true, undefined, records);
  expect(contentOf(records)).toEqual(counters.model);
  expect(records.slab.freeUnits).toBe(0);
  const snapshot = (await disk.list()).find((name) => name.endsWith('.snap')) as string;
  expect(disk.content(snapshot).length).toBeLessThan(counters.records.slab.byteLength / 2 + 300_000);
});
