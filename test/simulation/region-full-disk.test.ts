// A disk without room while a node shares a store.
import { describe, expect, it } from 'vitest';
import { retire } from '../../src/exchange/retire.ts';
import type { SimulatedDisk } from './disk.ts';
import { AFTER_A_CRASH_MS, HandRegion, value } from './region-hand.ts';
import { LEASE_MS } from './region-node.ts';

describe('a disk without room for replica.json', () => {
  /** No file can be made while it is full; those that are there have their room. */
  function fillable(disk: SimulatedDisk) {
    const state = { isFull: false, disk };
    const open = disk.open.bind(disk);
    Object.assign(disk, {
      open: async (name: string, mode: 'create' | 'read' | 'write') => {
        if (state.isFull && mode === 'create') throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
        return open(name, mode);
      },
    });
    return state;
  }

  function told() {
    const unwritten: string[] = [];
    const onUnwritten = (error: unknown): void => {
      if (!String(error).includes('cuts.log')) unwritten.push(String(error));
    };
    return { unwritten, options: { onUnwritten } };
  }

  it('holds up a replica that was taken for dead, until there is room', async () => {
    const world = new HandRegion();
    const state = fillable(world.disk());
    const { unwritten, options } = told();
    const { node, cut, mend } = await world.open(state.disk, options);
    const { node: other } = await world.open(world.disk(2));
    await world.inTime(node.add('a', 1n));
    const { replica } = node.exchange.storeInfo();
    cut();
    await world.inTime(node.add('a', 2n));
    await world.inTime(retire(world.store.connect(), world.host, replica, LEASE_MS));
    state.isFull = true;
    mend();
    await world.passes(AFTER_A_CRASH_MS);
    expect(node.exchange.storeInfo().replica).toBe(replica);
    expect(value(await world.inTime(node.add('a', 4n)))).toBe(7n);
    expect(unwritten).toEqual([expect.stringContaining('replica.json cannot be written: no space left')]);
    state.isFull = false;
    await world.passes(AFTER_A_CRASH_MS);
    expect(node.exchange.storeInfo().replica).not.toBe(replica);
    for (const one of [node, other]) expect(value(await world.inTime(one.get('a', 'region')))).toBe(7n);
  });

  it('holds up an heir, which forgets what it has folded when there is room', async () => {
    const world = new HandRegion();
    const disk = world.disk();
    const first = await world.open(disk);
    await world.inTime(first.node.add('a', 7n));
    first.cut();
    const state = fillable(disk.kill());
    const { unwritten, options } = told();
    const { node } = await world.open(state.disk, { ...options, keepFoldedMs: 0 });
    state.isFull = true;
    await world.passes(AFTER_A_CRASH_MS);
    expect([node.identity.document.incarnations.length, unwritten.length]).toEqual([2, 1]);
    state.isFull = false;
    await world.passes(AFTER_A_CRASH_MS);
    expect(node.identity.document.incarnations).toHaveLength(1);
    expect(value(await world.inTime(node.get('a', 'region')))).toBe(7n);
  });

  it('does not keep a node from stopping; the next start counts anew', async () => {
    const world = new HandRegion();
    const state = fillable(world.disk());
    const { node } = await world.open(state.disk);
    await world.inTime(node.add('a', 7n));
    state.isFull = true;
    await world.inTime(node.close());
    const { node: again } = await world.open(state.disk.kill());
    expect(again.exchange.storeInfo().replica).not.toBe(node.exchange.storeInfo().replica);
    await world.passes(AFTER_A_CRASH_MS);
    expect(value(await world.inTime(again.add('a', 1n)))).toBe(8n);
  });
});
