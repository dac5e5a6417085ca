/** A store that goes back in time while nodes run: what each of them still knows comes back to it. */
import { describe, expect, it } from 'vitest';
import { AFTER_A_CRASH_MS, HandRegion, SOON_MS, value } from './region-hand.ts';

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
    const heir = await world.open(disk.kill());
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(heir.node.get('k')))).toBe(1_100n);
    a.mend();
    await world.passes(AFTER_A_CRASH_MS);
    const fresh = await world.open(world.disk(3));
    for (const { node } of [a, heir, fresh]) expect(value(await world.inTime(node.get('k', 'region')))).toBe(1_006n);
  });
});
