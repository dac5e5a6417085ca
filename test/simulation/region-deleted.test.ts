/**
 * Counters that were deleted and that nobody counts on any more: they leave the nodes, and come back as what they were.
 */
import { describe, expect, it } from 'vitest';
import { HandRegion, SOON_MS, value } from './region-hand.ts';

const keepFoldedMs = 5_000;
const NAMES = Array.from({ length: 20 }, (_, i) => `session:${i}`);

describe('deleted counters', () => {
  it('leave the nodes after a time, with their cuts, and are counted on again', async () => {
    const world = new HandRegion();
    const disk = world.disk(1);
    const a = await world.open(disk, { keepFoldedMs });
    const b = await world.open(world.disk(2), { keepFoldedMs });
    await world.inTime(a.node.add('stays', 1n));
    for (const name of NAMES) for (const { node } of [a, b]) await world.inTime(node.add(name, 5n));
    await world.passes(SOON_MS);
    for (const name of NAMES) await world.inTime(a.node.delete(name));
    await world.passes(SOON_MS);
    const held = (): number[] => [a, b].map(({ node }) => node.exchange.storeInfo().held);
    expect(held()).toEqual([NAMES.length + 1, NAMES.length]);
    await world.passes(keepFoldedMs / 2);
    // Whom somebody counts on is back.
    await world.inTime(b.node.add('session:0', 2n));
    await world.passes(3 * keepFoldedMs);
    expect(held()).toEqual([2, 1]);
    for (const { node } of [a, b]) expect(node.identity.document.hasEvicted).not.toBe(true);
    expect(value(await world.inTime(a.node.get('session:0')))).toBe(2n);

    expect(await world.inTime(a.node.get('session:1'))).toMatchObject({ value: 0n, existed: false });
    expect(value(await world.inTime(a.node.add('session:1', 7n)))).toBe(7n);
    a.cut();
    b.cut();
    const left = disk.kill();
    expect(Buffer.from(left.content('cuts.log')).toString().split('session:2"').length).toBe(3);
    const again = await world.open(left, { keepFoldedMs });
    await world.passes(4 * keepFoldedMs);
    b.mend();
    await world.passes(SOON_MS);
    for (const { node } of [again, b]) {
      expect(value(await world.inTime(node.get('session:0')))).toBe(2n);
      expect(value(await world.inTime(node.get('session:1')))).toBe(7n);
      expect(await world.inTime(node.get('session:2'))).toMatchObject({ value: 0n, existed: false });
    }
  });

  it('stay while the store may go back behind their deletion, or is away', async () => {
    const world = new HandRegion();
    const { node, cut, mend } = await world.open(world.disk(1), { keepFoldedMs });
    await world.inTime(node.add('a', 5n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    await world.inTime(node.delete('a'));
    // Each time it has the deletion only since it was told again.
    for (const ms of [keepFoldedMs / 2, keepFoldedMs * 0.9, keepFoldedMs * 0.85]) {
      await world.passes(ms);
      goBack();
    }
    await world.passes(SOON_MS);
    expect(await world.inTime(node.get('a', 'region'))).toMatchObject({ value: 0n, existed: false });
    expect(node.exchange.storeInfo().held).toBe(1);
    cut();
    await world.passes(3 * keepFoldedMs);
    expect(node.exchange.storeInfo().held).toBe(1);
    mend();
    await world.passes(3 * keepFoldedMs);
    expect(node.exchange.storeInfo().held).toBe(0);
    expect(await world.inTime(node.get('a'))).toMatchObject({ value: 0n, existed: false });
  });

  it('are kept where the store is not durable', async () => {
    const world = new HandRegion(false);
    const { node } = await world.open(world.disk(1), { keepFoldedMs });
    await world.inTime(node.add('a', 5n));
    await world.inTime(node.delete('a'));
    await world.passes(3 * keepFoldedMs);
    world.store.wipe();
    await world.passes(SOON_MS);
    expect(await world.inTime(node.get('a', 'region'))).toMatchObject({ value: 0n, existed: false });
  });
});
