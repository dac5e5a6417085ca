import { afterEach, expect, it, vi } from 'vitest';
import { simulatedHost } from '../../test/simulation/host.ts';
import { type NamedSlot, type SlotStore, StoreError } from '../store/slot-store.ts';
import { Publisher } from './publisher.ts';
import { SlotMap } from './slot-map.ts';

const REPLICA = 'ab'.repeat(16);
const COUNTERS = 10_000;

/** A store that takes nothing while it is away. */
class Store {
  isAway = false;
  readonly slots = new Map<string, NamedSlot>();

  async merge({ slots }: { readonly slots: readonly NamedSlot[] }): Promise<void> {
    if (this.isAway) throw new StoreError('away');
    for (const slot of slots) {
      const known = this.slots.get(slot.name);
      if (known === undefined || known.version < slot.version) this.slots.set(slot.name, slot);
    }
  }
}

afterEach(() => {
  vi.restoreAllMocks();
});

it('sends what a store that was away did not take, without going through all of it', async () => {
  const host = simulatedHost(1);
  const store = new Store();
  let version = 1n;
  let failures = 0;
  const publisher = new Publisher({
    confirmedThrough: 0n,
    store: store as unknown as SlotStore,
    host,
    flushMs: 10,
    flushJournal: async () => undefined,
    turns: { turn: async () => undefined },
    durableVersion: () => version,
    mayPublish: async () => true,
    failed: () => failures++,
  });
  const put = (i: number): void => publisher.put({ name: `c:${i}`, replica: REPLICA, version, net: version });
  publisher.start();
  for (let i = 0; i < COUNTERS; i++) put(i);
  await host.clock.advance(5);
  expect(store.slots.size).toBeGreaterThan(0);
  store.isAway = true;
  await host.clock.advance(100);
  expect(failures).toBe(0);
  version = 2n;
  for (let i = 0; i < COUNTERS; i++) put(i);
  const moved = vi.spyOn(SlotMap.prototype, 'put');
  await host.clock.advance(5_000);
  expect(failures).toBeGreaterThan(1);
  expect(moved).not.toHaveBeenCalled();
  version = 3n;
  for (let i = 0; i < COUNTERS; i += 2) put(i);
  expect([publisher.backlog >= COUNTERS, publisher.confirmedThrough]).toEqual([true, 1n]);
  store.isAway = false;
  await host.clock.advance(5_000);
  expect([publisher.backlog, publisher.confirmedThrough]).toEqual([0, 3n]);
  for (let i = 0; i < COUNTERS; i++) expect(store.slots.get(`c:${i}`)?.net).toBe(i % 2 === 0 ? 3n : 2n);
  await publisher.close();
});

it('never confirms less than before, also after a doubt', async () => {
  const host = simulatedHost(1);
  let version = 5n;
  const failures: unknown[] = [];
  const publisher = new Publisher({
    confirmedThrough: 9n,
    store: new Store() as unknown as SlotStore,
    host,
    flushMs: 10,
    flushJournal: async () => undefined,
    turns: { turn: async () => undefined },
    durableVersion: () => version,
    mayPublish: async () => true,
    failed: (error) => failures.push(error),
  });
  publisher.start();
  const counted = async (): Promise<bigint> => {
    publisher.gathered();
    await host.clock.advance(100);
    return publisher.confirmedThrough;
  };
  // What the store had confirmed to an earlier process is not of this one.
  expect([await counted(), failures]).toEqual([9n, []]);
  publisher.doubt();
  expect(await counted()).toBe(0n);
  publisher.reasserted();
  expect([await counted(), failures]).toEqual([5n, []]);
  version = 4n;
  expect(await counted()).toBe(5n);
  expect(`${failures[0]}`).toContain('the confirmed position grows');
  version = 6n;
  expect(await counted()).toBe(6n);
  await publisher.close();
});
