import { expect, it } from 'vitest';
import { FakeJournal } from '../../test/simulation/fake-journal.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { MemoryStore } from '../store/memory/memory-store.ts';
import { StoreError } from '../store/slot-store.ts';
import type { Damage } from './damage.ts';
import type { Identity, Incarnation } from './identity.ts';
import type { KeptCuts } from './kept-cuts.ts';
import { Loader } from './loader.ts';
import type { SharedCounter } from './shared-counter.ts';
import { SharedCounters } from './shared-counters.ts';

const REPLICA = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);
const PAST = 'c'.repeat(32);
const NEXT = 'd'.repeat(32);

function setUp() {
  const host = simulatedHost(1);
  const memory = new MemoryStore({ id: 's', durable: true });
  const journal = new FakeJournal();
  const counters = new SharedCounters(REPLICA);
  const seen = { isAway: false, isWhole: true, reads: 0, failures: 0 };
  const document = { hasEvicted: false, incarnations: [] as Incarnation[] };
  let own = { replica: REPLICA, ordinal: 1 };
  const loader = new Loader({
    store: memory.connect(async (call) => {
      seen.reads++;
      if (seen.isAway) throw new StoreError('away');
      return call();
    }),
    engine: journal.port,
    host,
    identity: { document } as unknown as Identity,
    own: () => own,
    ended: async () => undefined,
    prove: async () => undefined,
    leaveId: async () => {
      own = { replica: NEXT, ordinal: 2 };
      counters.startAnew(NEXT, journal.sequence);
    },
    isWhole: () => seen.isWhole,
    damage: { mended: () => undefined, ahead: () => undefined } as unknown as Damage,
    kept: { get: () => undefined } as unknown as KeptCuts,
    putCut: () => undefined,
    failed: () => seen.failures++,
  });
  const load = async (...names: string[]): Promise<SharedCounter[]> => {
    const taken = names.map((name) => counters.take(name));
    let isDone = false;
    loader.load(taken, () => {
      isDone = true;
    });
    await host.clock.advance(1);
    expect(isDone).toBe(true);
    return taken;
  };
  const stores = (name: string, replica: string, version: bigint, net: bigint): void =>
    memory.merge({ slots: [{ name, replica, version, net }], cuts: [] });
  return { host, journal, counters, seen, document, loader, load, stores, own: () => own };
}

it('makes counters warm with the counts of all, many names in one read', async () => {
  const { journal, load, loader, seen, stores } = setUp();
  stores('a', OTHER, 1n, 5n);
  journal.nets.set('a/1', 2n);
  const [a, b] = await load('a', 'b');
  expect([a?.value, a?.warmth, b?.value, b?.warmth]).toEqual([7n, 'warm', 0n, 'warm']);
  expect([seen.reads, loader.loads]).toEqual([1, 2]);
});

it('reads a counter once for all who wait for it at the same time', async () => {
  const { counters, host, loader, seen } = setUp();
  let done = 0;
  for (let i = 0; i < 3; i++) loader.load([counters.take('a')], () => done++);
  await host.clock.advance(1);
  expect([done, seen.reads]).toEqual([3, 1]);
});

it('knows only its own counts where the store is away, and none that it may have evicted', async () => {
  const { document, journal, load, seen, stores } = setUp();
  seen.isAway = true;
  stores('a', OTHER, 1n, 5n);
  journal.nets.set('a/1', 2n);
  const [a] = await load('a');
  expect([a?.value, a?.warmth, seen.failures]).toEqual([2n, 'partial', 1]);
  document.hasEvicted = true;
  const [b] = await load('b');
  expect(b?.warmth).toBe('cold');
  seen.isAway = false;
  await load('a', 'b');
  expect([a?.value, a?.warmth, b?.warmth]).toEqual([7n, 'warm', 'warm']);
});

it('takes what a store that has gone back answers for a part', async () => {
  const { load, seen } = setUp();
  seen.isWhole = false;
  const [a] = await load('a');
  expect(a?.warmth).toBe('partial');
});

it('restores a count of its own that the directory has evicted', async () => {
  const { journal, load, stores } = setUp();
  journal.sequence = 9n;
  stores('a', REPLICA, 3n, 4n);
  const [a] = await load('a');
  expect([a?.value, a?.ownVersion, journal.nets.get('a/1')]).toEqual([4n, 3n, 4n]);
});

it('counts under another id where the store has a newer count of its own than it wrote', async () => {
  const { journal, load, own, stores } = setUp();
  journal.sequence = 2n;
  journal.nets.set('a/1', 1n);
  stores('a', REPLICA, 3n, 4n);
  const [a] = await load('a');
  expect([own().replica, a?.value, a?.ownNet]).toEqual([NEXT, 4n, 0n]);
});

it('adds what an earlier incarnation has left in the directory', async () => {
  const { document, journal, load } = setUp();
  document.incarnations = [{ ordinal: 0xff, id: PAST, through: '5' }];
  journal.nets.set('a/255', 6n);
  const [a] = await load('a');
  expect([a?.value, a?.knows(PAST, 5n)]).toEqual([6n, true]);
});
