import { describe, expect, it } from 'vitest';
import { type Chunk, Op } from '../../src/counter/chunk.ts';
import { DONE, ERRORS } from '../../src/counter/errors.ts';
import type { Policy } from '../../src/counter/policy.ts';
import { AttachError } from '../../src/exchange/attach.ts';
import { retire } from '../../src/exchange/retire.ts';
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
  const open = (disk: SimulatedDisk, memoryBytes?: number, policies: readonly Policy[] = []) =>
    inTime(
      RegionNode.open({
        disk,
        host,
        store,
        line: directLine,
        policies,
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      }),
    );
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

it('moves to other local counters as docs/many-nodes.md says', async () => {
  const { host, inTime, open, disk, store } = await world();
  const policies: readonly Policy[] = [{ match: 'quota:*', scope: 'local' }];
  const takeOne = (node: RegionNode) =>
    inTime(node.call((chunk) => chunk.pushName(Op.add, 'quota:a', 1n, { ceiling: 8n })));
  const directory = disk(1);
  const before = await open(directory);
  await inTime(before.add('quota:a', 7n));
  await inTime(before.add('likes', 5n));
  expect(await takeOne(before)).toEqual({ kind: 'refused', code: 'needs_authority' });
  expect(ERRORS.needs_authority.message).toMatch(/docs\/many-nodes.md, Local counters$/);

  expect(value(await inTime(before.delete('quota:a')))).toBeTypeOf('bigint');
  const { replica } = before.exchange.storeInfo();
  await inTime(before.close());
  const refusal = await open(directory.kill(), undefined, policies).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(AttachError);
  expect((refusal as Error).message).toMatch(/move to an empty directory: docs\/many-nodes.md, Local counters$/);
  const after = await open(disk(2), undefined, policies);
  expect(await inTime(retire(store.connect(directLine), host, replica, LEASE_MS))).toEqual({ counters: 1 });
  await inTime(after.set('quota:a', 7n));
  expect(value(await takeOne(after))).toBe(8n);
  expect(await takeOne(after)).toEqual({ kind: 'refused', code: 'above_ceiling' });
  expect(value(await inTime(after.get('likes')))).toBe(5n);
});

describe('a node whose memory is full', () => {
  const MEMORY_BYTES = 10_000;
  const CALLS = 20;
  const NAMES = 10;

  /** Adds 1 to many counters, several calls at once. @returns the code of each add */
  async function addToAll(node: RegionNode, inTransactions = false): Promise<number[]> {
    const chunks: Chunk[] = [];
    await Promise.all(
      Array.from({ length: CALLS }, (_, call) =>
        node.call((chunk) => {
          chunks.push(chunk);
          for (let i = 0; i < NAMES; i++) chunk.pushName(Op.add, `${call}:${i}`, 1n);
          if (inTransactions) chunk.transactions.push(0, NAMES);
        }),
      ),
    );
    return chunks.flatMap((chunk) => [...chunk.code.subarray(0, chunk.count)]);
  }

  it('lets calls wait until other counters have left', async () => {
    const { inTime, open, disk } = await world();
    const node = await open(disk(1), MEMORY_BYTES);
    for (let round = 0; round < 3; round++) expect(new Set(await inTime(addToAll(node)))).toEqual(new Set([DONE]));
    expect(node.exchange.storeInfo().heldBytes).toBeLessThan(MEMORY_BYTES * 1.1);
    for (let call = 0; call < CALLS; call++) expect(value(await inTime(node.get(`${call}:0`)))).toBe(3n);
  });

  it('refuses a transaction whole, also where one of its counters would have had to wait', async () => {
    const { inTime, open, disk } = await world();
    const node = await open(disk(1), MEMORY_BYTES);
    expect(new Set(await inTime(addToAll(node, true)))).toEqual(new Set([ERRORS.needs_authority.id]));
  });

  it('reads more counters in one call than it can hold, and refuses none', async () => {
    const { host, inTime, open, disk } = await world();
    const node = await open(disk(1), MEMORY_BYTES);
    for (let round = 0; round < 3; round++) await inTime(addToAll(node));
    await host.clock.advance(300);
    const chunks: Chunk[] = [];
    const sinceMs = host.clock.monotonicMs();
    await inTime(
      node.call((chunk) => {
        chunks.push(chunk);
        for (let call = 0; call < CALLS; call++) for (let i = 0; i < NAMES; i++) chunk.pushName(Op.get, `${call}:${i}`);
      }),
    );
    const [chunk] = chunks as [Chunk];
    const values = Array.from({ length: CALLS * NAMES }, (_, i) =>
      chunk.code[i] === DONE ? chunk.valueAt(i) : undefined,
    );
    expect(new Set(values)).toEqual(new Set([3n]));
    expect(host.clock.monotonicMs() - sinceMs).toBeLessThan(1_000);
    expect(node.exchange.storeInfo().heldBytes).toBeLessThan(MEMORY_BYTES * 1.1);
  });

  it('refuses new names where nothing can leave', async () => {
    const { host, inTime, open, disk } = await world(false);
    const node = await open(disk(1), MEMORY_BYTES);
    const sinceMs = host.clock.monotonicMs();
    const codes = await inTime(addToAll(node));
    expect(new Set(codes)).toEqual(new Set([DONE, ERRORS.too_many_counters.id]));
    expect(host.clock.monotonicMs() - sinceMs).toBeLessThan(1_000);
  });
});
