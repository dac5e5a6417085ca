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
  const disks = [disk(1), disk(2), disk(3)];
  const nodes = [await open(disks[0]!), await open(disks[1]!), await open(disks[2]!)];
  for (const node of nodes) expect(value(await inTime(node.add('a', 5n)))).toBeTypeOf('bigint');
  await host.clock.advance(200);
  for (const node of nodes) expect(value(await inTime(node.get('a')))).toBe(15n);
  expect(value(await inTime(nodes[0]!.set('a', 100n)))).toBe(100n);
  expect(value(await inTime(nodes[1]!.add('a', 1n)))).toBeTypeOf('bigint');
  await host.clock.advance(200);
  for (const node of nodes) expect(value(await inTime(node.get('a')))).toBe(101n);
  // A clean stop leaves a baton.
  await inTime(nodes[0]!.close());
  disks[0] = disks[0]!.kill();
  nodes[0] = await open(disks[0]!);
  expect(value(await inTime(nodes[0]!.add('a', 1n)))).toBe(102n);
  await host.clock.advance(200);
  expect(store.leases()).toHaveLength(3);
  // A crash does not.
  expect(value(await inTime(nodes[0]!.add('a', 10n)))).toBe(112n);
  disks[0] = disks[0]!.crash();
  nodes[0] = await open(disks[0]!);
  expect(value(await inTime(nodes[0]!.add('a', 1n)))).toBeTypeOf('bigint');
  await host.clock.advance(6 * LEASE_MS);
  for (const node of nodes) expect(value(await inTime(node.get('a')))).toBe(113n);
});
