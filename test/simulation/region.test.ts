import { expect, it } from 'vitest';
import { directLine, MemoryStore } from '../../src/store/memory/memory-store.ts';
import { SimulatedDisk } from './disk.ts';
import { simulatedHost } from './host.ts';
import { type CallOutcome, LEASE_MS, RegionNode } from './region-node.ts';

async function world(durable = true) {
  const host = simulatedHost(1);
  const store = new MemoryStore({ id: 'store', durable });
  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const result = work.finally(() => {
      done = true;
    });
    result.catch(() => undefined);
    for (let i = 0; !done && i < 10_000; i++) await host.clock.advance(1);
    return result;
  };
  const open = (disk: SimulatedDisk) => inTime(RegionNode.open({ disk, host, store, line: directLine }));
  const disk = (seed: number) => new SimulatedDisk({ seed, clock: host.clock, latencyMs: 1 });
  return { host, store, inTime, open, disk };
}

const value = (outcome: CallOutcome) => (outcome.kind === 'done' ? outcome.value : outcome);

it('counts on three nodes, restarts cleanly, and after a crash', async () => {
  const { host, inTime, open, disk, store } = await world();
  const [disk0, disk1, disk2] = [disk(1), disk(2), disk(3)];
  const others = [await open(disk1), await open(disk2)] as const;
  const first = await open(disk0);
  for (const node of [first, ...others]) expect(value(await inTime(node.add('a', 5n)))).toBeTypeOf('bigint');
  await host.clock.advance(200);
  for (const node of [first, ...others]) expect(value(await inTime(node.get('a')))).toBe(15n);
  expect(value(await inTime(first.set('a', 100n)))).toBe(100n);
  expect(value(await inTime(others[0].add('a', 1n)))).toBeTypeOf('bigint');
  await host.clock.advance(200);
  for (const node of [first, ...others]) expect(value(await inTime(node.get('a')))).toBe(101n);
  // A clean stop leaves a baton.
  await inTime(first.close());
  const disk0Again = disk0.kill();
  const second = await open(disk0Again);
  expect(value(await inTime(second.add('a', 1n)))).toBe(102n);
  await host.clock.advance(200);
  expect(store.leases()).toHaveLength(3);
  // A crash does not.
  expect(value(await inTime(second.add('a', 10n)))).toBe(112n);
  const third = await open(disk0Again.crash());
  expect(value(await inTime(third.add('a', 1n)))).toBeTypeOf('bigint');
  await host.clock.advance(6 * LEASE_MS);
  for (const node of [third, ...others]) expect(value(await inTime(node.get('a')))).toBe(113n);
  expect(store.leases()).toHaveLength(4);
});
