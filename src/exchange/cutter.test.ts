import { expect, it } from 'vitest';
import { simulatedHost } from '../../test/simulation/host.ts';
import { INT64_MAX } from '../counter/int64.ts';
import { type Cut, total } from '../crdt/cut.ts';
import { directLine, type Line, MemoryStore } from '../store/memory/memory-store.ts';
import { type ReplicaId, StoreError } from '../store/slot-store.ts';
import { Cutter } from './cutter.ts';
import { pause } from './pause.ts';

const REPLICA = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);

/** A cutter on a store whose calls go through a line. */
function setUp(line: Line = directLine) {
  const host = simulatedHost(1);
  const memory = new MemoryStore({ id: 's', durable: true });
  const seen = { isWhole: true, isPublished: true, published: 0, kept: 0 };
  const cutter = new Cutter({
    store: memory.connect(line),
    host,
    timeoutMs: 1_000,
    replica: () => REPLICA,
    publish: async () => {
      seen.published++;
      await pause(host.clock, 10);
      return seen.isPublished;
    },
    isWhole: () => seen.isWhole,
    learned: (_, state) => state,
    keep: async () => {
      seen.kept++;
    },
  });
  const inTime = async <T>(work: Promise<T>): Promise<T> => {
    const [outcome] = await Promise.allSettled([work, host.clock.advance(2_000)]);
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  };
  const cutOf = (name: string): Cut<ReplicaId> => {
    const [state] = memory.read([name]);
    if (state === undefined) throw new Error('no state');
    return state.cut;
  };
  const netOf = (name: string): bigint => {
    const [state] = memory.read([name]);
    return state === undefined ? 0n : total(state.slots, state.cut);
  };
  return { cutter, memory, seen, inTime, cutOf, netOf };
}

it('sets the value over what all have counted, and says what was there', async () => {
  const { cutter, memory, seen, inTime, cutOf, netOf } = setUp();
  memory.merge({ slots: [{ name: 'a', replica: OTHER, version: 1n, net: 5n }], cuts: [] });
  const call = cutter.begin();
  expect(await inTime(cutter.set(call, 'a', 7n, undefined))).toEqual({ existed: true, before: 5n, isChanged: true });
  expect([netOf('a'), cutOf('a').version > 0n, seen.published]).toEqual([7n, true, 1]);
  await cutter.end(call);
  expect(seen.kept).toBe(1);
});

it('makes no cut where the condition does not hold, and has nothing to keep', async () => {
  const { cutter, seen, inTime, cutOf } = setUp();
  const call = cutter.begin();
  expect(await inTime(cutter.set(call, 'a', 7n, 'exists'))).toMatchObject({ existed: false, isChanged: false });
  expect(await inTime(cutter.delete(cutter.begin(), 'a'))).toMatchObject({ existed: false, isChanged: false });
  await cutter.end(call);
  expect([cutOf('a').version, seen.kept]).toEqual([0n, 0]);
});

it('makes the cut once when the answer to it is lost', async () => {
  let isLost = true;
  let calls = 0;
  const { cutter, inTime, netOf } = setUp(async (call) => {
    const answer = call();
    // The second call is the cut.
    if (++calls === 2 && isLost) {
      isLost = false;
      throw new StoreError('the answer is lost');
    }
    return answer;
  });
  expect(await inTime(cutter.set(cutter.begin(), 'a', 7n, undefined))).toMatchObject({ before: 0n, isChanged: true });
  expect([netOf('a'), calls]).toEqual([7n, 3]);
});

it('follows the cut of another replica that was first', async () => {
  let others: (() => void) | undefined;
  let calls = 0;
  const world = setUp(async (call) => {
    if (++calls === 2) others?.();
    return call();
  });
  const { cutter, memory, inTime, netOf } = world;
  others = () => {
    const cut = { version: 1n, author: `${OTHER}/1`, base: 3n, folded: new Map(), isDeleted: false };
    memory.merge({ slots: [], cuts: [{ name: 'a', cut }] });
  };
  expect(await inTime(cutter.set(cutter.begin(), 'a', 7n, undefined))).toMatchObject({ before: 3n, isChanged: true });
  expect(netOf('a')).toBe(7n);
});

it('cannot say whether a cut was made that a newer one hides', async () => {
  let calls = 0;
  const { cutter, memory, inTime } = setUp(async (call) => {
    const answer = call();
    if (++calls !== 2) return answer;
    const cut = { version: INT64_MAX, author: `${OTHER}/1`, base: 3n, folded: new Map(), isDeleted: false };
    memory.merge({ slots: [], cuts: [{ name: 'a', cut }] });
    throw new StoreError('the answer is lost');
  });
  await expect(inTime(cutter.set(cutter.begin(), 'a', 7n, undefined))).rejects.toMatchObject({
    code: 'outcome_unknown',
  });
});

it('changes nothing while the counts made here have not arrived, or the store is not whole', async () => {
  for (const lacking of ['isPublished', 'isWhole'] as const) {
    const { cutter, seen, inTime, cutOf } = setUp();
    seen[lacking] = false;
    const cutting = inTime(cutter.set(cutter.begin(), 'a', 7n, undefined));
    await expect(cutting).rejects.toMatchObject({ code: 'store_away' });
    expect(cutOf('a').version).toBe(0n);
  }
});
