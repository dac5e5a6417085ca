/** Nodes over a store whose records are damaged: one counter is refused, and nothing else. */
import { expect, it } from 'vitest';
import type { SlotStore, StoredState } from '../../src/store/slot-store.ts';
import { AFTER_A_CRASH_MS, HandRegion, SOON_MS, value } from './region-hand.ts';

const NAME = 'damaged';

/** A store that cannot read one record, until it is merged again what the record said. */
function damaging(isDamaged: () => boolean): (store: SlotStore) => SlotStore {
  return (store) => {
    const [read, changes] = [store.read.bind(store), store.changes.bind(store)];
    return Object.assign(store, {
      read: async (names: readonly string[]): Promise<StoredState[]> => {
        const states = await read(names);
        return states.map((state, i) =>
          isDamaged() && names[i] === NAME ? { ...state, slots: new Map(), damage: 'a test says so' } : state,
        );
      },
      changes: async (...since: Parameters<SlotStore['changes']>) => {
        const found = await changes(...since);
        return isDamaged() ? { ...found, damaged: [{ name: NAME, why: 'a test says so' }] } : found;
      },
    });
  };
}

it.each([true, false])(
  'a damaged record refuses its counter, is reported once, and is brought back, durable: %s',
  async (durable) => {
    const world = new HandRegion(durable);
    const reports: string[] = [];
    let isDamaged = false;
    const options = { between: damaging(() => isDamaged), onDamaged: (what: string) => void reports.push(what) };
    const disk = world.disk();
    const { node } = await world.open(disk, options);
    const { node: other } = await world.open(world.disk(2));
    await world.inTime(node.add(NAME, 5n));
    await world.inTime(other.add(NAME, 2n));
    await world.passes(SOON_MS);
    expect(value(await world.inTime(node.get(NAME)))).toBe(7n);
    isDamaged = true;
    await world.passes(SOON_MS);
    const before = node.exchange.storeInfo().slotsSent;
    for (const call of [node.get(NAME), node.add(NAME, 1n), node.set(NAME, 1n), node.delete(NAME)]) {
      expect(value(await world.inTime(call))).toBe('store_damaged');
    }
    expect(value(await world.inTime(node.add('whole', 1n)))).toBe(1n);
    expect(reports).toEqual([`the store's record of counter "${NAME}" is damaged: a test says so`]);
    expect(node.exchange.storeInfo().damaged).toBeGreaterThan(0);
    expect(before, 'its own slot, and that of the other').toBeGreaterThanOrEqual(2);
    // A start that reads it goes on all the same.
    await world.inTime(node.close());
    const { node: again } = await world.open(disk.kill(), options);
    expect(value(await world.inTime(again.add(NAME, 1n)))).toBe('store_damaged');
    expect(value(await world.inTime(again.add('whole', 1n)))).toBe(2n);
    isDamaged = false;
    expect(value(await world.inTime(again.add(NAME, 10n)))).toBe(17n);
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(other.get(NAME)))).toBe(17n);
  },
);

it('damaged leases end nobody, and are written anew', async () => {
  const world = new HandRegion();
  const disk = world.disk();
  const first = await world.open(disk);
  await world.inTime(first.node.add('a', 5n));
  await world.passes(SOON_MS);
  for (const document of ['', '{', '{"format":1,"state":"running"}', '[]']) {
    for (const { replica, version } of world.store.leases()) world.store.swapLease(replica, version, document);
    await world.passes(SOON_MS);
    expect(value(await world.inTime(first.node.get('a', 'region')))).toBe(5n);
  }
  expect(world.store.leases().map(({ document }) => document.includes('running'))).toEqual([true]);
  first.cut();
  const [lease] = world.store.leases();
  if (lease !== undefined) world.store.swapLease(lease.replica, lease.version, '{');
  const { node: heir } = await world.open(disk.kill());
  await world.passes(AFTER_A_CRASH_MS);
  expect(value(await world.inTime(heir.get('a')))).toBe(5n);
  expect(heir.identity.document.incarnations[0]?.foldedAt).toBeTypeOf('number');
});

it('a record that says more of a node than that ever wrote ends nobody, and loses nothing that is counted after it', async () => {
  const world = new HandRegion();
  const reports: string[] = [];
  const disk = world.disk();
  const first = await world.open(disk);
  await world.inTime(first.node.add('a', 5n));
  await world.inTime(first.node.add('b', 3n));
  await world.inTime(first.node.close());
  const { replica } = first.node.exchange.storeInfo();
  world.store.merge({ slots: [{ name: 'a', replica, version: 10n ** 15n, net: 100n }], cuts: [] });
  // Goes on under the same id, and finds it there.
  const { node } = await world.open(disk.kill(), { onDamaged: (what) => void reports.push(what) });
  expect(node.exchange.storeInfo().replica).toBe(replica);
  expect(value(await world.inTime(node.add('a', 1n)))).toBe(101n);
  expect(value(await world.inTime(node.add('b', 1n)))).toBe(4n);
  expect(node.exchange.storeInfo().replica).not.toBe(replica);
  expect(reports).toEqual([expect.stringContaining(`a newer count of this replica (${replica}) than it ever wrote`)]);
  await world.passes(AFTER_A_CRASH_MS);
  const { node: other } = await world.open(world.disk(2));
  for (const one of [node, other]) {
    expect(value(await world.inTime(one.get('a', 'region')))).toBe(101n);
    expect(value(await world.inTime(one.get('b', 'region')))).toBe(4n);
  }
});
