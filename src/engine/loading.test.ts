/** What a start makes of entries, whatever order and company they come in: a plain map says what must be there. */
import { describe, expect, it } from 'vitest';
import { seeds } from '../../test/seed.ts';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { SimulatedClock, simulatedHost } from '../../test/simulation/host.ts';
import { type ModelEntry, put } from '../../test/simulation/journal-model.ts';
import { readInt64 } from '../counter/int64.ts';
import { ValueEntry } from '../journal/entries/value.ts';
import { GroupBuffer } from '../journal/group.ts';
import { Journal } from '../journal/journal.ts';
import { SeededRandom } from '../std/random.ts';
import { IDEMPOTENCY_DEFAULTS, IdempotencyStore } from './idempotency.ts';
import { Loading } from './loading.ts';
import { Memory } from './memory.ts';
import { Records } from './records.ts';
import { FIRST_UNIT, Meta, Slab } from './slab.ts';
import { SnapshotLoad } from './snapshot-load.ts';

interface Expected {
  readonly low: number;
  deadlineMs: number | undefined;
}

const key = (bytes: string) => ({ kind: 0, bytes });
const value = (name: string, low: number): ModelEntry => ({ entry: 'value', key: key(name), low, high: 0, at: 7 });
const deadline = (name: string, ms: number): ModelEntry => ({ entry: 'deadline', key: key(name), ms });

function keys(): IdempotencyStore {
  return new IdempotencyStore(IDEMPOTENCY_DEFAULTS, new SimulatedClock(), new Memory(), new Uint8Array(8));
}

function newRecords(): Records {
  return new Records({
    hashKey: new Uint8Array(8).fill(5),
    policies: [],
    countersMax: 1e9,
    memory: new Memory(),
    groups: [],
  });
}

async function open(disk: SimulatedDisk, records: Records): Promise<Journal> {
  const loading = new Loading(records, keys());
  return Journal.open({ disk, host: simulatedHost(1), replay: loading });
}

async function write(journal: Journal, entries: readonly ModelEntry[]): Promise<void> {
  const group = new GroupBuffer();
  group.begin();
  group.stamp(journal.sequence + 1n, 1);
  for (const entry of entries) put(group, entry);
  await journal.write([group]);
  await journal.sync();
}

async function writeSnapshot(journal: Journal, parts: readonly (readonly ModelEntry[])[]): Promise<void> {
  const left = [...parts];
  const next = (part: GroupBuffer): boolean => {
    for (const entry of left.shift() ?? []) put(part, entry);
    return left.length > 0;
  };
  await journal.snapshot(
    { next },
    () => journal.sequence,
    async () => undefined,
  );
}

/** All records, by walking over the slab; each must be found by its key, too. */
function contentOf(records: Records): Map<string, Expected> {
  const { slab, table } = records;
  const content = new Map<string, Expected>();
  for (let at = FIRST_UNIT; at < slab.frontier; at = slab.behind(at)) {
    if (!slab.isRecord(at)) continue;
    const bytes = slab.bytes[Slab.piece(at)];
    const view = slab.views[Slab.piece(at)];
    const length = records.meta(at) & Meta.nameLengthMask;
    const name = Buffer.from(bytes.subarray(Slab.keyByte(at), Slab.keyByte(at) + length)).toString('latin1');
    expect(content.has(name), `${name} is there once`).toBe(false);
    expect(table.find(table.hash(0, length, view, Slab.keyByte(at)), 0, length, view, Slab.keyByte(at))).toBe(at);
    const low = Number(readInt64(slab.lanes[Slab.piece(at)], Slab.lane(at)));
    content.set(name, { low, deadlineMs: records.deadlines.get(at) });
  }
  expect(table.count).toBe(content.size);
  return content;
}

describe('a snapshot', () => {
  it('may hold many records whose hashes begin alike, and more than it said', () => {
    const records = newRecords();
    const load = new SnapshotLoad(records, 10);
    const words = new Int32Array(ValueEntry.key + 1);
    words[ValueEntry.kindAndLength] = 4 << 8;
    const values = { words, view: new DataView(words.buffer), at: new Int32Array(1), count: 1 };
    let count = 0;
    for (let i = 0; count < 20_000; i++) {
      words[ValueEntry.key] = 0x30303030 + i;
      const hash = records.table.hash(0, 4, values.view, ValueEntry.key * 4);
      // In the first or the second of 512 parts.
      if (hash >>> 24 !== 0) continue;
      load.values(values, Int32Array.of(hash));
      count++;
    }
    load.finish();
    expect(contentOf(records).size).toBe(count);
  });

  it('may hold a key more than once: the last state counts, with its deadline or without', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk, newRecords());
    await write(journal, [value('a', 1)]);
    await writeSnapshot(journal, [
      [value('a', 1), deadline('a', 50), value('b', 2), value('c', 3)],
      [value('a', 4), value('b', 5), deadline('b', 60), value('d', 6)],
      [value('a', 7), value('d', 8), deadline('d', 70)],
    ]);
    await journal.close();
    const records = newRecords();
    await open(disk, records);
    expect(contentOf(records)).toEqual(
      new Map([
        ['a', { low: 7, deadlineMs: undefined }],
        ['b', { low: 5, deadlineMs: 60 }],
        ['c', { low: 3, deadlineMs: undefined }],
        ['d', { low: 8, deadlineMs: 70 }],
      ]),
    );
    expect(records.deadlines.size).toBe(2);
  });

  it('may hold a deadline apart from its state, which then counts all the same', async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    const journal = await open(disk, newRecords());
    await write(journal, [value('a', 1)]);
    await writeSnapshot(journal, [[value('a', 1), value('b', 2), deadline('a', 50), value('b', 3)]]);
    await journal.close();
    const records = newRecords();
    await open(disk, records);
    expect(contentOf(records)).toEqual(
      new Map([
        ['a', { low: 1, deadlineMs: 50 }],
        ['b', { low: 3, deadlineMs: undefined }],
      ]),
    );
  });
});

it.each(seeds(3))(
  'a snapshot and groups behind it, with whatever they do, give the last states (seed %i)',
  async (seed) => {
    const random = new SeededRandom(seed);
    const disk = new SimulatedDisk({ seed });
    const journal = await open(disk, newRecords());
    const model = new Map<string, Expected>();
    const randomEntries = (canDelete: boolean): ModelEntry[] => {
      const entries: ModelEntry[] = [];
      for (let i = 0; i < 4000; i++) {
        const name = `${'n'.repeat(1 + random.below(40))}${random.below(1500)}`;
        if (canDelete && random.chance(0.2)) {
          entries.push({ entry: 'delete', key: key(name) });
          model.delete(name);
          continue;
        }
        const state: Expected = { low: random.below(1e6), deadlineMs: undefined };
        entries.push(value(name, state.low));
        if (random.chance(0.1)) {
          state.deadlineMs = 1 + random.below(1e6);
          entries.push(deadline(name, state.deadlineMs));
        }
        model.set(name, state);
      }
      return entries;
    };
    await write(journal, [value('left behind by the snapshot', 1)]);
    await writeSnapshot(journal, [randomEntries(false), randomEntries(false)]);
    for (let group = 0; group < 3; group++) await write(journal, randomEntries(true));
    await journal.close();
    const records = newRecords();
    await open(disk, records);
    expect(contentOf(records)).toEqual(model);
  },
);
