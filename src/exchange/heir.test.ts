import { describe, expect, it } from 'vitest';
import { simulatedHost } from '../../test/simulation/host.ts';
import { AFTER_A_CRASH_MS, HandRegion, SOON_MS, value } from '../../test/simulation/region-hand.ts';
import { directLine, MemoryStore } from '../store/memory/memory-store.ts';
import { foldSlots } from './heir.ts';
import type { Identity } from './identity.ts';

const DEAD = 'd'.repeat(32);
const KEPT_MAX = 32;

/** A store in which somebody else always cuts first, and how often that was tried. */
function contended() {
  const store = new MemoryStore({ id: 's', durable: true }).connect(directLine);
  const tries: number[] = [];
  const { clock } = simulatedHost(1);
  const cut = async (): Promise<boolean[]> => {
    tries.push(clock.monotonicMs());
    return [false];
  };
  return { host: { ...simulatedHost(1), clock }, store: Object.assign(store, { cut }), tries };
}

describe('folding what others cut at the same time', () => {
  it('comes again less and less often, and ends when it is told to', async () => {
    const { host, store, tries } = contended();
    await store.merge({ slots: [{ name: 'a', replica: DEAD, version: 1n, net: 5n }], cuts: [] });
    let isStopped = false;
    const folding = foldSlots(store, host, ['a'], new Set([DEAD]), () => isStopped).catch((error: unknown) => error);
    for (let i = 0; i < 10_000; i++) await host.clock.advance(1);
    const pauses = tries.slice(1).map((at, i) => at - (tries[i] as number));
    // From 5 ms to a second, doubled each time; each pause is at least half of that.
    expect(tries.length).toBeGreaterThan(10);
    expect(tries.length).toBeLessThan(8 + 20);
    expect(pauses[0]).toBeLessThan(10);
    expect(Math.min(...pauses.slice(8))).toBeGreaterThanOrEqual(500);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1_001);
    isStopped = true;
    await host.clock.advance(2_000);
    expect(await folding).toMatchObject({ code: 'shutting_down' });
  });
});

describe('what was folded', () => {
  it(`is kept of the last ${KEPT_MAX} incarnations of a directory at most`, async () => {
    const world = new HandRegion();
    const disk = world.disk();
    const first = await world.open(disk);
    await world.inTime(first.node.add('a', 1n));
    await world.inTime(first.node.close());
    const folded = Array.from({ length: KEPT_MAX + 8 }, (_, i) => ({
      ordinal: 100 + i,
      id: `${i}`.padStart(32, '0'),
      through: '1',
      foldedAt: world.host.clock.nowMs(),
      foldedTerm: '1',
    }));
    const opened = (identity: Identity): Promise<void> =>
      identity.change(({ incarnations }) => ({ nextOrdinal: 200, incarnations: [...folded, ...incarnations] }));
    const { node } = await world.open(disk.kill(), { opened });
    await world.passes(AFTER_A_CRASH_MS);
    const kept = node.identity.document.incarnations.filter(({ foldedAt }) => foldedAt !== undefined);
    expect(kept.map(({ id }) => id)).toEqual(folded.slice(-KEPT_MAX).map(({ id }) => id));
    await world.passes(SOON_MS);
    expect(value(await world.inTime(node.get('a')))).toBe(1n);
  });
});
