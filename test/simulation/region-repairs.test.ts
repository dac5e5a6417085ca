// What a hostile reading of the exchange found, each as it went wrong.
import { describe, expect, it } from 'vitest';
import { type Chunk, Op } from '../../src/counter/chunk.ts';
import { Identity } from '../../src/exchange/identity.ts';
import { retire } from '../../src/exchange/retire.ts';
import { directLine, type Line, MemoryStore } from '../../src/store/memory/memory-store.ts';
import { type SlotStore, StoreError } from '../../src/store/slot-store.ts';
import { AFTER_A_CRASH_MS, HandRegion, SOON_MS, value } from './region-hand.ts';
import { LEASE_MS, type RegionNode } from './region-node.ts';

describe('a deleted counter', () => {
  it.each([true, false])('stays deleted when an heir folds what it had, durable: %s', async (durable) => {
    const world = new HandRegion(durable);
    const disk = world.disk();
    const first = await world.open(disk);
    await world.inTime(first.node.add('a', 5n));
    await world.inTime(first.node.delete('a'));
    // The last group is a later one than that of the counter's slot.
    await world.inTime(first.node.add('b', 1n));
    first.cut();
    const heir = await world.open(disk.kill());
    await world.passes(AFTER_A_CRASH_MS);
    expect(await world.inTime(heir.node.get('a'))).toMatchObject({ value: 0n, existed: false });
    await world.inTime(heir.node.add('a', 1n));
    expect(await world.inTime(heir.node.get('a'))).toMatchObject({ value: 1n, existed: true });
  });
});

describe('an heir', () => {
  it('publishes nothing in the name of one that still renews its lease', async () => {
    const world = new HandRegion();
    const disk = world.disk();
    const { node } = await world.open(disk);
    await world.inTime(node.add('a', 1n));
    const copy = disk.copy();
    // Groups that the original knows nothing of would outrank its own.
    const { node: heir } = await world.open(copy);
    for (let i = 0; i < 20; i++) await world.inTime(heir.add('b', 1n));
    for (let i = 0; i < 5; i++) await world.inTime(node.add('a', 1n));
    await world.passes(AFTER_A_CRASH_MS);
    for (const one of [node, heir]) {
      expect(value(await world.inTime(one.get('a')))).toBe(6n);
      expect(value(await world.inTime(one.get('b')))).toBe(20n);
    }
  });

  it('brings what the store has lost before it folds', async () => {
    const world = new HandRegion();
    const disk = world.disk();
    const first = await world.open(disk);
    const lost = world.store.image();
    await world.inTime(first.node.add('a', 7n));
    first.cut();
    let isLost = false;
    const between = (store: SlotStore): SlotStore => {
      const swapLease = store.swapLease.bind(store);
      return Object.assign(store, {
        swapLease: async (...swap: Parameters<SlotStore['swapLease']>) => {
          const isMade = await swapLease(...swap);
          // Published, and not folded yet.
          if (swap[2].includes('"final"') && !isLost) lost();
          isLost ||= swap[2].includes('"final"');
          return isMade;
        },
      });
    };
    const { node } = await world.open(disk.kill(), { between });
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(node.get('a', 'region')))).toBe(7n);
  });
});

describe('a directory', () => {
  it('whose replica.json is older than its journal is refused', async () => {
    const world = new HandRegion();
    const disk = world.disk();
    await world.inTime(Identity.open(disk, world.host.random));
    const old = disk.content('replica.json');
    const { node, cut } = await world.open(disk);
    await world.inTime(node.add('a', 12n));
    cut();
    const restored = disk.kill();
    await world.inTime(restored.unlink('replica.json'));
    const file = await world.inTime(restored.open('replica.json', 'create'));
    await world.inTime(file.write(old, 0));
    await expect(world.open(restored)).rejects.toThrow('from one backup');
  });

  it('that met a durable store is refused by one that is none, and stays with the first', async () => {
    const world = new HandRegion();
    const disk = world.disk();
    const { node } = await world.open(disk);
    await world.inTime(node.add('a', 3n));
    await world.inTime(node.close());
    const other = new MemoryStore({ id: 'another', durable: false });
    await expect(world.open(disk, { store: other })).rejects.toThrow('belongs to another store');
    const { node: again } = await world.open(disk);
    expect(value(await world.inTime(again.get('a')))).toBe(3n);
  });

  it('of another store ends when that answers at last, and nothing has gone there', async () => {
    const world = new HandRegion();
    const disk = world.disk();
    const { node } = await world.open(disk);
    await world.inTime(node.add('a', 1n));
    await world.inTime(node.close());
    const other = new MemoryStore({ id: 'another', durable: true });
    const ends: string[] = [];
    let isThere = false;
    const line: Line = async (call) => {
      if (!isThere) throw new StoreError('not there yet');
      return directLine(call);
    };
    const onFatal = (error: unknown): void => void ends.push(String(error));
    await world.open(disk.kill(), { store: other, line, onFatal });
    isThere = true;
    await world.passes(AFTER_A_CRASH_MS);
    expect(ends[0]).toContain('belongs to another store');
    expect([other.names(), other.leases()]).toEqual([[], []]);
  });
});

describe('a store in whose place another one comes while a node runs', () => {
  it.each([true, false])('is waited for, and nothing goes there, durable: %s', async (durable) => {
    const world = new HandRegion(durable);
    const other = new MemoryStore({ id: 'another', durable });
    other.merge({ slots: [{ name: 'a', replica: 'f'.repeat(32), version: 1n, net: 100n }], cuts: [] });
    const failures: string[] = [];
    const onFailure = (error: unknown): void => void failures.push(String(error));
    const { node } = await world.open(world.disk(), { onFailure });
    await world.inTime(node.add('a', 5n));
    await world.inTime(node.get('b'));
    await world.passes(SOON_MS);
    world.store.swap(other);
    await world.inTime(node.add('b', 2n));
    await world.passes(SOON_MS);
    expect(await world.inTime(node.get('a', 'region'))).toMatchObject({ code: 'store_away' });
    expect(value(await world.inTime(node.add('a', 1n)))).toBe(6n);
    await world.passes(AFTER_A_CRASH_MS);
    expect([world.store.names(), world.store.leases()]).toEqual([['a'], []]);
    expect(failures.filter((failure) => failure.includes('belongs to another store'))).toHaveLength(1);
    world.store.swap(other);
    await world.passes(AFTER_A_CRASH_MS);
    const { node: second } = await world.open(world.disk(2));
    expect(value(await world.inTime(second.get('a')))).toBe(6n);
    expect(value(await world.inTime(second.get('b')))).toBe(2n);
  });

  it('is refused at a start, also where nothing is durable', async () => {
    const world = new HandRegion(false);
    const disk = world.disk();
    const { node } = await world.open(disk);
    await world.inTime(node.add('a', 5n));
    await world.inTime(node.close());
    const other = new MemoryStore({ id: 'another', durable: false });
    await expect(world.open(disk.kill(), { store: other })).rejects.toThrow('belongs to another store');
    expect([other.names(), other.leases()]).toEqual([[], []]);
  });
});

describe('a store that has lost everything', () => {
  it('keeps its id and is told everything again where nothing is durable, by running nodes and at a start', async () => {
    const world = new HandRegion(false);
    const disk = world.disk();
    const a = await world.open(disk);
    const b = await world.open(world.disk(2));
    await world.inTime(a.node.add('a', 5n));
    await world.inTime(b.node.add('a', 6n));
    await world.passes(SOON_MS);
    world.store.wipe();
    await world.passes(SOON_MS);
    expect(world.store.id).toBe('store');
    await world.inTime(a.node.close());
    world.store.wipe();
    b.cut();
    const again = await world.open(disk.kill());
    expect(world.store.id).toBe('store');
    b.mend();
    await world.passes(AFTER_A_CRASH_MS);
    for (const { node } of [again, b]) expect(value(await world.inTime(node.get('a', 'region')))).toBe(11n);
  });
});

describe('retiring', () => {
  it('is refused as soon as a lease was seen to be renewed', async () => {
    const world = new HandRegion();
    const { node } = await world.open(world.disk());
    await world.inTime(node.add('a', 7n));
    const { replica } = node.exchange.storeInfo();
    const sinceMs = world.host.clock.monotonicMs();
    const outcome = await world.inTime(retire(world.store.connect(), world.host, replica, 10 * LEASE_MS));
    expect(outcome).toBe('alive');
    expect(world.host.clock.monotonicMs() - sinceMs).toBeLessThan(5 * LEASE_MS);
    expect(node.exchange.storeInfo().replica).toBe(replica);
  });

  it('takes a lease that was renewed once more for one of the dead', async () => {
    const world = new HandRegion();
    const { node, cut } = await world.open(world.disk());
    await world.inTime(node.add('a', 7n));
    await world.passes(SOON_MS);
    const { replica } = node.exchange.storeInfo();
    cut();
    let looks = 0;
    const line: Line = async (call) => {
      const [lease] = world.store.leases();
      if (++looks === 2 && lease !== undefined) world.store.swapLease(replica, lease.version, lease.document);
      return directLine(call);
    };
    const late = world.store.connect(line);
    expect(await world.inTime(retire(late, world.host, replica, LEASE_MS))).toEqual({ counters: 1 });
  });
});

it.each([true, false])(
  'a clean restart goes on under the same id, and sessions go on, durable: %s',
  async (durable) => {
    const world = new HandRegion(durable);
    const disk = world.disk();
    const { node } = await world.open(disk);
    await world.inTime(node.add('a', 1n));
    const session = `${node.exchange.storeInfo().replica}.${node.engine.durableSequence}`;
    await world.inTime(node.close());
    const { node: again } = await world.open(disk.kill());
    expect(again.exchange.storeInfo().replica).toBe(node.exchange.storeInfo().replica);
    const { node: other } = await world.open(world.disk(2));
    await world.passes(SOON_MS);
    const read = other.call((chunk) => {
      chunk.pushName(Op.get, 'never counted');
      chunk.session = session;
    });
    expect(value(await world.inTime(read))).toBe(0n);
    expect(world.store.leases()).toHaveLength(2);
  },
);

it('a stop before the store has answered for the first time leaves the baton all the same', async () => {
  const world = new HandRegion();
  const disk = world.disk();
  const slowly: Line = (call) =>
    new Promise((resolve) => {
      world.host.clock.schedule(5, () => resolve(call()));
    });
  const between = (store: SlotStore): SlotStore => {
    const swapLease = store.swapLease.bind(store);
    let isClosed = false;
    return Object.assign(store, {
      swapLease: async (...swap: Parameters<SlotStore['swapLease']>) => {
        const isMade = await swapLease(...swap);
        if (isClosed) throw new StoreError('closed');
        return isMade;
      },
      close: async () => {
        isClosed = true;
      },
    });
  };
  const first = await world.open(disk, { line: slowly, between });
  const { replica, isAnswering } = first.node.exchange.storeInfo();
  expect(isAnswering).toBe(false);
  await world.inTime(first.node.close());
  const again = await world.open(disk);
  expect(again.node.exchange.storeInfo().replica).toBe(replica);
});

it('many cuts of one call share its deadline when the store is away', async () => {
  const world = new HandRegion();
  const { node, cut } = await world.open(world.disk());
  await world.inTime(node.add('a', 1n));
  cut();
  const sinceMs = world.host.clock.monotonicMs();
  const call = node.call((chunk) => {
    for (let i = 0; i < 200; i++) chunk.pushName(Op.set, 'a', 5n);
  });
  expect(value(await world.inTime(call))).toBe('store_away');
  expect(world.host.clock.monotonicMs() - sinceMs).toBeLessThan(2_000);
});

it('a lease of a later version is left alone', async () => {
  const world = new HandRegion();
  world.store.swapLease('f'.repeat(32), 0, '{"format":2}');
  const { node } = await world.open(world.disk());
  await world.passes(AFTER_A_CRASH_MS);
  expect(value(await world.inTime(node.add('a', 1n)))).toBe(1n);
});

it('a sum that has left 64 bits can be set', async () => {
  const world = new HandRegion();
  const nodes = [await world.open(world.disk(1)), await world.open(world.disk(2))].map(({ node }) => node);
  const half = 2n ** 62n + 2n ** 61n;
  await Promise.all(nodes.map((node) => world.inTime(node.get('a'))));
  await world.inTime(Promise.all(nodes.map((node) => node.add('a', half))));
  await world.passes(SOON_MS);
  for (const node of nodes) expect(value(await world.inTime(node.get('a')))).toBe('out_of_range');
  expect(value(await world.inTime((nodes[0] as RegionNode).set('a', 3n)))).toBe(3n);
  await world.passes(SOON_MS);
  for (const node of nodes) expect(value(await world.inTime(node.get('a')))).toBe(3n);
});

it('a call that goes to and fro between local and shared counters waits for the disk as one that does not', async () => {
  const world = new HandRegion();
  const { node } = await world.open(world.disk(), { policies: [{ match: 'local:*', scope: 'local' }] });
  await world.inTime(node.add('shared', 1n));
  const { groups } = node.engine.info();
  const many = (chunk: Chunk): void => {
    for (let i = 0; i < 100; i++) {
      chunk.pushName(Op.add, 'shared', 1n);
      chunk.pushName(Op.add, 'local:1', 1n);
    }
  };
  await world.inTime(node.call(many));
  expect(node.engine.info().groups - groups).toBeLessThan(10);
  expect(value(await world.inTime(node.get('shared')))).toBe(101n);
  expect(value(await world.inTime(node.get('local:1')))).toBe(100n);
});

it('counters that others make larger leave a node that has a limit, whoever asks for what', async () => {
  const world = new HandRegion();
  const { node } = await world.open(world.disk(), { memoryBytes: 100_000 });
  const { node: other } = await world.open(world.disk(2));
  const onAll = (chunk: Chunk): void => {
    for (let i = 0; i < 200; i++) chunk.pushName(Op.add, `counter${i}`, 1n);
  };
  await world.inTime(node.call(onAll));
  await world.passes(SOON_MS);
  expect(node.exchange.storeInfo().held).toBe(200);
  await world.inTime(other.call(onAll));
  await world.passes(SOON_MS);
  expect(node.exchange.storeInfo().heldBytes).toBeLessThan(100_000);
  expect(value(await world.inTime(node.get('counter7')))).toBe(2n);
});
