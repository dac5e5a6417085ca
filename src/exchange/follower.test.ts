import { expect, it } from 'vitest';
import { simulatedHost } from '../../test/simulation/host.ts';
import { MemoryStore } from '../store/memory/memory-store.ts';
import { type NamedSlot, StoreError } from '../store/slot-store.ts';
import { Follower } from './follower.ts';

const REPLICA = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);
const POLL_MS = 10;

function setUp() {
  const host = simulatedHost(1);
  const memory = new MemoryStore({ id: 's', durable: true });
  const seen = {
    isAway: false,
    isComplete: true,
    term: '1',
    slots: [] as NamedSlot[],
    resyncs: 0,
    failures: 0,
    polls: 0,
  };
  const proven: bigint[] = [];
  let fails = 0;
  const follower = new Follower({
    store: memory.connect(async (call) => {
      seen.polls++;
      if (seen.isAway) throw new StoreError('away');
      return call();
    }),
    host,
    pollMs: POLL_MS,
    replica: () => REPLICA,
    changed: async ({ slots }) => {
      if (fails > 0) {
        fails--;
        throw new Error('not taken');
      }
      seen.slots.push(...slots);
    },
    resync: () => seen.resyncs++,
    isComplete: () => seen.isComplete,
    term: () => seen.term,
    leasedThrough: () => 4n,
    proven: (through) => proven.push(through),
    answered: () => undefined,
    failed: () => seen.failures++,
  });
  const counts = (version: bigint, replica = OTHER): void =>
    memory.merge({ slots: [{ name: 'a', replica, version, net: version }], cuts: [] });
  const failNext = (times: number): void => {
    fails = times;
  };
  return { host, memory, follower, seen, proven, counts, failNext };
}

it('brings what others count, without its own', async () => {
  const { host, follower, seen, counts } = setUp();
  follower.start();
  await host.clock.advance(POLL_MS);
  expect(seen.resyncs).toBe(1);
  counts(1n);
  counts(9n, REPLICA);
  await host.clock.advance(2 * POLL_MS);
  expect(seen.slots).toEqual([{ name: 'a', replica: OTHER, version: 1n, net: 1n }]);
  expect(follower.asOfMs).toBeGreaterThan(0);
  await follower.close();
});

it('asks again for changes that were not taken', async () => {
  const { host, follower, seen, counts, failNext } = setUp();
  follower.start();
  await host.clock.advance(POLL_MS);
  counts(1n);
  failNext(3);
  await host.clock.advance(2_000);
  expect([seen.failures, seen.slots.length]).toEqual([3, 1]);
  await follower.close();
});

it('asks a store that is away less and less often, and goes on where it was', async () => {
  const { host, follower, seen, counts } = setUp();
  follower.start();
  await host.clock.advance(POLL_MS);
  seen.isAway = true;
  await host.clock.advance(10_000);
  const { asOfMs } = follower;
  const before = seen.polls;
  await host.clock.advance(10_000);
  expect(seen.polls - before).toBeLessThanOrEqual(10);
  expect([follower.isAnswering, follower.asOfMs]).toEqual([false, asOfMs]);
  counts(1n);
  seen.isAway = false;
  follower.hurry();
  await host.clock.advance(POLL_MS);
  expect([follower.isAnswering, seen.slots.length, seen.resyncs]).toEqual([true, 1, 1]);
  await follower.close();
});

it('stays as it stood while not everything is known', async () => {
  const { host, follower, seen } = setUp();
  seen.isComplete = false;
  follower.start();
  await host.clock.advance(10 * POLL_MS);
  expect([follower.isAnswering, follower.asOfMs]).toEqual([true, 0]);
  seen.isComplete = true;
  await host.clock.advance(2 * POLL_MS);
  expect(follower.asOfMs).toBeGreaterThan(0);
  await follower.close();
});

it('proves what was leased only under an unchanged term', async () => {
  const { host, follower, seen, proven, memory } = setUp();
  const changes = memory.changes.bind(memory);
  memory.changes = (cursor, reader) => {
    seen.term = '2';
    return changes(cursor, reader);
  };
  follower.start();
  await host.clock.advance(0);
  expect(proven).toEqual([]);
  await host.clock.advance(POLL_MS);
  expect(proven).toEqual([4n]);
  await follower.close();
});
