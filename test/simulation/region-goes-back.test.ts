/** A store that goes back in time while nodes run: what each of them still knows comes back to it. */
import { describe, expect, it } from 'vitest';
import type { SlotStore } from '../../src/store/slot-store.ts';
import { SimulatedDisk } from './disk.ts';
import { AFTER_A_CRASH_MS, HandRegion, SOON_MS, value } from './region-hand.ts';
import type { RegionNode } from './region-node.ts';

const MEMORY_BYTES = 10_000;
/** As many as push everything else out of a node with so much memory. */
const MANY = 60;

/** Adds to many other counters, so that what was held before leaves. */
async function crowd(world: HandRegion, node: RegionNode, prefix: string): Promise<void> {
  for (let i = 0; i < MANY; i++) await world.inTime(node.add(`${prefix}:${i}`, 1n));
  await world.passes(SOON_MS);
}

describe.each([undefined, 'keeps term'] as const)('a store that is restored while nodes run, %s', (keepsTerm) => {
  it('is told what they know, before they forget it', async () => {
    const world = new HandRegion();
    const disks = [world.disk(1), world.disk(2)] as const;
    const wentBack: string[] = [];
    const small = { memoryBytes: MEMORY_BYTES, onWentBack: () => void wentBack.push('small') };
    const a = await world.open(disks[0], small);
    const b = await world.open(disks[1], { onWentBack: () => void wentBack.push('b') });
    await world.inTime(a.node.add('x', 100n));
    await world.inTime(b.node.add('y', 7n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    await world.inTime(a.node.add('x', 1_000n));
    await world.inTime(b.node.set('y', 5n));
    await world.passes(SOON_MS);
    goBack(keepsTerm);
    await world.passes(SOON_MS);
    await crowd(world, a.node, 'other');
    await crowd(world, a.node, 'another');
    expect(a.node.exchange.storeInfo().evicted).toBeGreaterThan(0);
    const fresh = await world.open(world.disk(3));
    for (const { node } of [a, b, fresh]) {
      expect(value(await world.inTime(node.get('x', 'region')))).toBe(1_100n);
      expect(value(await world.inTime(node.get('y', 'region')))).toBe(5n);
    }
    expect(wentBack.sort()).toEqual(['b', 'small']);
    expect(a.node.exchange.storeInfo().wentBack).toBe(1);
    await world.inTime(a.node.close());
    const again = await world.open(disks[0].kill(), small);
    expect(value(await world.inTime(again.node.get('x')))).toBe(1_100n);
  });

  it('is told also what a node has counted and does not hold', async () => {
    const world = new HandRegion();
    const disk = world.disk(1);
    const first = await world.open(disk);
    await world.inTime(first.node.add('x', 100n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    await world.inTime(first.node.add('x', 1_000n));
    await world.inTime(first.node.close());
    // Goes on as the same replica, and has been asked for nothing.
    await world.open(disk.kill());
    await world.passes(SOON_MS);
    goBack(keepsTerm);
    await world.passes(SOON_MS);
    const fresh = await world.open(world.disk(2));
    expect(value(await world.inTime(fresh.node.get('x')))).toBe(1_100n);
  });

  it('takes no set before it knows again what was counted', async () => {
    const world = new HandRegion();
    const a = await world.open(world.disk(1));
    const goBack = world.store.image();
    await world.inTime(a.node.add('x', 1_000n));
    await world.passes(SOON_MS);
    goBack(keepsTerm);
    await world.passes(keepsTerm === undefined ? 21 : SOON_MS);
    expect(value(await world.inTime(a.node.set('x', 5n)))).toBe(5n);
    await world.passes(SOON_MS);
    expect(value(await world.inTime(a.node.get('x', 'region')))).toBe(5n);
  });
});

describe('a store that goes back behind what has left a node for it', () => {
  it('does not have the node count on from there, where others know more', async () => {
    const world = new HandRegion();
    const disk = world.disk(1);
    const a = await world.open(disk, { memoryBytes: MEMORY_BYTES });
    const b = await world.open(world.disk(2));
    await world.inTime(a.node.add('x', 100n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    await world.inTime(a.node.add('x', 1_000n));
    await world.passes(SOON_MS);
    expect(value(await world.inTime(b.node.get('x')))).toBe(1_100n);
    for (const prefix of ['other', 'another']) await crowd(world, a.node, prefix);
    expect(a.node.exchange.storeInfo().evicted).toBeGreaterThan(MANY);
    goBack();
    expect(value(await world.inTime(a.node.add('x', 1n)))).toBe(1_101n);
    await world.passes(2 * AFTER_A_CRASH_MS);
    const fresh = await world.open(world.disk(3));
    for (const { node } of [a, b, fresh]) expect(value(await world.inTime(node.get('x', 'region')))).toBe(1_101n);
    // What it has still is brought as ever, under the id that it had.
    expect(value(await world.inTime(fresh.node.get(`another:${MANY - 1}`)))).toBe(1n);
    await world.inTime(a.node.close());
    const again = await world.open(disk.kill(), { memoryBytes: MEMORY_BYTES });
    expect(value(await world.inTime(again.node.get('x')))).toBe(1_101n);
  });

  it('is told what a node knows before that stops', async () => {
    const world = new HandRegion();
    const a = await world.open(world.disk(1));
    const b = await world.open(world.disk(2));
    const goBack = world.store.image();
    await world.inTime(a.node.add('x', 7n));
    await world.passes(SOON_MS);
    // It has counted nothing itself.
    expect(value(await world.inTime(b.node.get('x')))).toBe(7n);
    a.cut();
    goBack();
    await world.passes(21);
    await world.inTime(b.node.close());
    expect(world.store.read(['x'])[0]?.slots.size).toBe(1);
  });
});

describe('a store that restarts and has lost nothing', () => {
  it('is sent nothing, and nobody says that it went back', async () => {
    const world = new HandRegion();
    const wentBack: string[] = [];
    const { node } = await world.open(world.disk(1), { onWentBack: () => void wentBack.push('a') });
    for (let i = 0; i < MANY; i++) await world.inTime(node.add(`n:${i}`, 1n));
    await world.inTime(node.set('n:0', 7n));
    // Now the lease says that all of it was confirmed.
    await world.passes(SOON_MS);
    const before = node.exchange.storeInfo();
    world.store.restart();
    await world.passes(AFTER_A_CRASH_MS);
    const after = node.exchange.storeInfo();
    expect([after.slotsSent, after.calls, wentBack]).toEqual([before.slotsSent, before.calls, []]);
    expect(value(await world.inTime(node.set('n:1', 9n)))).toBe(9n);
  });

  it('and goes back to before the last lease is sent what was confirmed since', async () => {
    const world = new HandRegion();
    const a = await world.open(world.disk(1));
    await world.inTime(a.node.add('x', 1n));
    await world.passes(SOON_MS);
    const lost = world.store.image();
    const between = world.store.leases();
    await world.inTime(a.node.add('x', 10n));
    await world.passes(25);
    expect(world.store.leases()).toEqual(between);
    lost();
    await world.passes(SOON_MS);
    const fresh = await world.open(world.disk(2));
    expect(value(await world.inTime(fresh.node.get('x')))).toBe(11n);
  });
});

describe('a set or a deletion that was answered', () => {
  // So many that no order by chance comes out right for all of them.
  const sets = Array.from({ length: 20 }, (_, i) => `set:${i}`);
  const deleted = Array.from({ length: 20 }, (_, i) => `deleted:${i}`);

  it.each([
    [true, undefined],
    [true, 'keeps term'],
    [false, undefined],
    [false, 'keeps term'],
  ] as const)('stays where the store has just gone back, unnoticed, durable: %s, %s', async (durable, keepsTerm) => {
    const world = new HandRegion(durable);
    const a = await world.open(world.disk(1));
    for (const name of [...sets, ...deleted]) await world.inTime(a.node.set(name, 1n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    for (const name of [...sets, ...deleted]) await world.inTime(a.node.set(name, 2n));
    for (const name of [...sets, ...deleted]) await world.inTime(a.node.add(name, 100n));
    await world.passes(SOON_MS);
    goBack(keepsTerm);
    const calls = [
      ...sets.map((name) => world.inTime(a.node.set(name, 3n))),
      ...deleted.map((name) => world.inTime(a.node.delete(name))),
    ];
    for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject({ kind: 'done', existed: true });
    await world.passes(AFTER_A_CRASH_MS);
    const fresh = await world.open(world.disk(2));
    for (const { node } of [a, fresh]) {
      for (const name of sets) expect(value(await world.inTime(node.get(name, 'region')))).toBe(3n);
      for (const name of deleted) {
        expect(await world.inTime(node.get(name, 'region'))).toMatchObject({ value: 0n, existed: false });
      }
    }
  });

  it.each([true, false])('stays where an heir folds that does not know it, durable: %s', async (durable) => {
    const world = new HandRegion(durable);
    const [counting, setting] = [world.disk(1), world.disk(2)];
    const a = await world.open(counting);
    const c = await world.open(setting);
    for (const name of sets) await world.inTime(c.node.set(name, 10n));
    for (const name of sets) await world.inTime(a.node.get(name));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    a.cut();
    for (const name of sets) await world.inTime(a.node.add(name, 7n));
    for (const name of sets) await world.inTime(c.node.set(name, 100n));
    await world.passes(SOON_MS);
    c.cut();
    goBack();
    const heir = await world.open(counting.kill());
    await world.passes(AFTER_A_CRASH_MS);
    for (const name of sets) expect(value(await world.inTime(heir.node.get(name, 'region')))).toBe(17n);
    // Nobody asks it for anything.
    const again = await world.open(setting.kill());
    await world.passes(AFTER_A_CRASH_MS);
    const fresh = await world.open(world.disk(3));
    for (const { node } of [heir, again, fresh]) {
      for (const name of sets) expect(value(await world.inTime(node.get(name, 'region')))).toBe(107n);
    }
  });
});

describe('two cuts that do not know each other', () => {
  it('lose no increment, and every node shows the same', async () => {
    const world = new HandRegion();
    const disk = world.disk(2);
    const a = await world.open(world.disk(1));
    const d = await world.open(disk);
    await world.inTime(d.node.add('k', 100n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    for (const to of [5n, 6n]) await world.inTime(a.node.set('k', to));
    await world.inTime(d.node.add('k', 1_000n));
    await world.passes(SOON_MS);
    for (const { node } of [a, d]) expect(value(await world.inTime(node.get('k')))).toBe(1_006n);
    a.cut();
    d.cut();
    goBack();
    // The heir of D folds what it had, into a cut that does not know that of A.
    const left = disk.kill();
    await world.inTime(left.unlink('cuts.log'));
    const heir = await world.open(left);
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(heir.node.get('k')))).toBe(1_100n);
    a.mend();
    await world.passes(AFTER_A_CRASH_MS);
    const fresh = await world.open(world.disk(3));
    for (const { node } of [a, heir, fresh]) expect(value(await world.inTime(node.get('k', 'region')))).toBe(1_006n);
  });
});

describe('what an heir has folded', () => {
  it('comes back to a store that goes back behind the fold, also after a restart, and is dropped after a time', async () => {
    const world = new HandRegion();
    const disk = world.disk();
    const first = await world.open(disk);
    await world.inTime(first.node.add('a', 1n));
    await world.passes(SOON_MS);
    const goBack = world.store.image();
    await world.inTime(first.node.add('a', 6n));
    await world.passes(SOON_MS);
    first.cut();
    const heirDisk = disk.kill();
    const keepFoldedMs = 60_000;
    const heir = await world.open(heirDisk, { keepFoldedMs });
    await world.passes(AFTER_A_CRASH_MS);
    expect(world.store.read(['a'])[0]?.cut.base).toBe(7n);
    goBack();
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(heir.node.get('a', 'region')))).toBe(7n);
    await world.inTime(heir.node.close());
    goBack();
    const again = await world.open(heirDisk.kill(), { keepFoldedMs });
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(again.node.get('a', 'region')))).toBe(7n);
    await world.passes(keepFoldedMs + AFTER_A_CRASH_MS);
    expect(again.node.identity.document.incarnations.filter(({ foldedAt }) => foldedAt !== undefined)).toEqual([]);
    expect(value(await world.inTime(again.node.get('a', 'region')))).toBe(7n);
  });
});

it('what an heir folds is folded again where the store goes back before the directory says so', async () => {
  const world = new HandRegion();
  const disk = new SimulatedDisk({ seed: 1, clock: world.host.clock, latencyMs: 20 });
  const first = await world.open(disk);
  const goBack = world.store.image();
  await world.inTime(first.node.add('a', 6n));
  await world.passes(SOON_MS);
  first.cut();
  let folds = 0;
  const between = (store: SlotStore): SlotStore => {
    const swap = store.swapLease.bind(store);
    return Object.assign(store, {
      swapLease: async (...[replica, version, document]: Parameters<typeof swap>) => {
        const isMade = await swap(replica, version, document);
        if (document.includes('"folded"') && folds++ === 0) goBack();
        return isMade;
      },
    });
  };
  const heir = await world.open(disk.kill(), { between });
  await world.passes(2 * AFTER_A_CRASH_MS);
  expect(folds).toBeGreaterThan(0);
  const fresh = await world.open(world.disk(2));
  for (const { node } of [heir, fresh]) expect(value(await world.inTime(node.get('a', 'region')))).toBe(6n);
});

describe('a directory and the store that go back together', () => {
  it.each([true, false])('lose nothing that others know, and end nobody, durable: %s', async (durable) => {
    const world = new HandRegion(durable);
    const disk = world.disk(1);
    const first = await world.open(disk);
    const others = [await world.open(world.disk(2)), await world.open(world.disk(3))].map(({ node }) => node);
    await world.inTime(first.node.add('a', 100n));
    await world.inTime(first.node.close());
    const backup = disk.copy();
    const goBack = world.store.image();
    const again = await world.open(disk);
    for (let i = 0; i < 9; i++) await world.inTime(again.node.add('a', 10n));
    await world.passes(SOON_MS);
    for (const node of others) expect(value(await world.inTime(node.get('a')))).toBe(190n);
    again.cut();
    goBack();
    const restored = await world.open(backup);
    for (let i = 0; i < 20; i++) await world.inTime(restored.node.add('a', 1n));
    await world.passes(AFTER_A_CRASH_MS);
    const fresh = await world.open(world.disk(4));
    for (const node of [...others, restored.node, fresh.node]) {
      expect(value(await world.inTime(node.get('a', 'region')))).toBe(210n);
    }
  });
});

it('a set that was answered stays when its node loses power at once, and the store goes back behind it', async () => {
  const world = new HandRegion();
  const disk = world.disk(1);
  const { node, cut } = await world.open(disk);
  await world.inTime(node.add('x', 100n));
  await world.passes(SOON_MS);
  const goBack = world.store.image();
  expect(value(await world.inTime(node.set('x', 5n)))).toBe(5n);
  cut();
  const crashed = disk.crash();
  goBack();
  const again = await world.open(crashed);
  await world.passes(2 * AFTER_A_CRASH_MS);
  const fresh = await world.open(world.disk(2));
  for (const one of [again.node, fresh.node]) expect(value(await world.inTime(one.get('x', 'region')))).toBe(5n);
});

describe('what everybody saw set or deleted', () => {
  it.each([
    [true, 'at once'],
    [false, 'at once'],
    [true, 'after a crash'],
    [false, 'after a crash'],
  ])('stays so when nodes restart and the store forgets everything, durable: %s, %s', async (durable, how) => {
    const world = new HandRegion(durable);
    const forget = world.store.image();
    const disks = [1, 2, 3].map((seed) => world.disk(seed));
    const nodes = [];
    for (const disk of disks) nodes.push(await world.open(disk));
    for (const { node } of nodes) for (const name of ['x', 'y']) await world.inTime(node.add(name, 100n));
    await world.passes(SOON_MS);
    for (const { node } of nodes) for (const name of ['x', 'y']) await world.inTime(node.get(name));
    await world.inTime(nodes[0]?.node.set('x', 5n) as Promise<unknown>);
    await world.inTime(nodes[1]?.node.delete('y') as Promise<unknown>);
    await world.passes(SOON_MS);
    const again = [];
    for (const [i, { node, cut }] of nodes.entries()) {
      if (how === 'at once') await world.inTime(node.close());
      else cut();
      again.push((await world.open((disks[i] as SimulatedDisk).kill())).node);
    }
    forget();
    await world.passes(2 * AFTER_A_CRASH_MS);
    again.push((await world.open(world.disk(4))).node);
    for (const node of again) {
      expect(await world.inTime(node.get('x', 'region'))).toMatchObject({ value: 5n });
      expect(await world.inTime(node.get('y', 'region'))).toMatchObject({ value: 0n, existed: false });
    }
  });
});
