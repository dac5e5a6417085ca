/**
 * What is read while a store that went back in time has not got back what the nodes know: a part, and said to be one.
 */
import { describe, expect, it } from 'vitest';
import { Op } from '../../src/counter/chunk.ts';
import { type SlotStore, StoreError } from '../../src/store/slot-store.ts';
import { seeds } from '../seed.ts';
import { AFTER_A_CRASH_MS, HandRegion, SOON_MS, value } from './region-hand.ts';
import { LEASE_MS, type RegionNode } from './region-node.ts';
import { RegionWorld } from './region-world.ts';

const getPart = (node: RegionNode, name: string) =>
  node.call((chunk) => {
    chunk.pushName(Op.get, name);
    chunk.acceptsPartial = true;
  });

/** Keeps its lease and reaches the store, but for what it has to bring there. */
function heldBack(): { between: (store: SlotStore) => SlotStore; isHeld: boolean } {
  const held = {
    isHeld: false,
    between: (store: SlotStore): SlotStore => {
      const merge = store.merge.bind(store);
      return Object.assign(store, {
        merge: async (...assertion: Parameters<SlotStore['merge']>) => {
          if (held.isHeld) throw new StoreError('held back');
          return merge(...assertion);
        },
      });
    },
  };
  return held;
}

describe.each([undefined, 'keeps term'] as const)('a store that went back, %s', (keepsTerm) => {
  it('shows nothing as whole before an heir has brought back what a crashed replica had counted', async () => {
    const world = new HandRegion();
    const disk = world.disk(1);
    const first = await world.open(disk);
    const other = await world.open(world.disk(2));
    await world.inTime(first.node.add('before', 1n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    await world.inTime(first.node.add('x', 7n));
    await world.passes(SOON_MS);
    first.cut();
    const held = heldBack();
    await world.open(disk.kill(), { between: held.between });
    await world.passes(AFTER_A_CRASH_MS);
    expect(world.store.read(['x'])[0]?.cut.base).toBe(7n);
    held.isHeld = true;
    goBack(keepsTerm);
    // Our own lease shows it by then, where nothing else does.
    await world.passes(LEASE_MS / 10);
    const { asOfMs } = other.node.exchange.storeInfo();
    for (let i = 0; i < 3; i++) {
      expect(await world.inTime(getPart(other.node, 'x'))).toMatchObject({ kind: 'done', isPartial: true });
      expect(value(await world.inTime(other.node.get('x')))).toBe('store_went_back');
      expect(value(await world.inTime(other.node.add(`new:${i}`, 1n)))).toBe('store_went_back');
    }
    expect(other.node.exchange.storeInfo().asOfMs).toBe(asOfMs);
    held.isHeld = false;
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(other.node.get('x', 'region')))).toBe(7n);
    expect(value(await world.inTime(other.node.get('x')))).toBe(7n);
    await world.passes(SOON_MS);
    expect(other.node.exchange.storeInfo().asOfMs).toBeGreaterThan(asOfMs);
  });
});

describe('a store that went back', () => {
  it('is not waited for longer than a lease lasts, and refuses what has to be whole until then', async () => {
    const world = new HandRegion();
    const goBack = world.store.image();
    const a = await world.open(world.disk(1));
    const b = await world.open(world.disk(2));
    await world.inTime(b.node.add('x', 5n));
    await world.inTime(a.node.add('y', 1n));
    await world.passes(LEASE_MS);
    b.cut();
    goBack();
    await world.passes(SOON_MS);
    expect(value(await world.inTime(a.node.get('x', 'region')))).toBe('store_went_back');
    expect(value(await world.inTime(a.node.set('y', 3n)))).toBe('store_away');
    await world.passes(AFTER_A_CRASH_MS);
    // Nobody who runs knows more.
    expect(value(await world.inTime(a.node.get('x', 'region')))).toBe(0n);
    expect(value(await world.inTime(a.node.set('y', 3n)))).toBe(3n);
    b.mend();
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(a.node.get('x')))).toBe(5n);
  });

  it('is waited for also by a node that only starts', async () => {
    const world = new HandRegion();
    const held = heldBack();
    const a = await world.open(world.disk(1), { between: held.between });
    await world.passes(LEASE_MS);
    const goBack = world.store.image();
    await world.inTime(a.node.add('x', 5n));
    await world.passes(SOON_MS);
    held.isHeld = true;
    goBack();
    await world.passes(SOON_MS);
    const fresh = await world.open(world.disk(2));
    await world.passes(20);
    expect(value(await world.inTime(fresh.node.get('x')))).toBe('store_went_back');
    held.isHeld = false;
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(fresh.node.get('x', 'region')))).toBe(5n);
  });

  it('waits for nobody whose version does not say what it has asserted', async () => {
    const world = new HandRegion();
    const a = await world.open(world.disk(1));
    await world.inTime(a.node.add('x', 5n));
    const lease = { format: 1, state: 'running', directory: 'old', nonce: '', through: '0' };
    const renew = (version: number): boolean =>
      world.store.swapLease('b'.repeat(32), version, JSON.stringify({ ...lease, at: world.host.clock.nowMs() }));
    renew(0);
    await world.passes(LEASE_MS);
    world.store.restart();
    renew(1);
    await world.passes(SOON_MS);
    const { asOfMs } = a.node.exchange.storeInfo();
    expect(world.host.clock.nowMs() - asOfMs).toBeLessThan(SOON_MS / 2);
    expect(value(await world.inTime(a.node.get('z')))).toBe(0n);
  });
});

it.each([true, false])(
  'a read of the region has all that was acknowledged, or is refused, while the store goes back again and again, durable: %s',
  async (durable) => {
    const faults = {
      rollBack: 0.02,
      weather: 0,
      partition: 0,
      pause: 0,
      stop: 0,
      kill: 0,
      crash: 0,
      copy: 0,
      another: 0,
    };
    const met = { rollBacks: 0, wholeReads: 0 };
    for (const seed of seeds(2)) {
      const world = new RegionWorld({ seed, durable, ack: 'store', names: 120, faults, readsAll: true });
      await world.live(300);
      await world.heal();
      for (const what of ['rollBacks', 'wholeReads'] as const) met[what] += world.counts[what] ?? 0;
    }
    expect(met.rollBacks).toBeGreaterThan(0);
    expect(met.wholeReads).toBeGreaterThan(0);
  },
);
