import { expect, it } from 'vitest';
import { simulatedHost } from '../../test/simulation/host.ts';
import type { CountingError } from '../counter/errors.ts';
import type { Region } from './region.ts';
import { waitForSession } from './session.ts';
import { SharedCounters } from './shared-counters.ts';

const REPLICA = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);

function setUp() {
  const host = simulatedHost(1);
  const counter = new SharedCounters(REPLICA).take('a');
  const seen = { refreshes: 0, refreshed: () => undefined as unknown };
  const region = {
    host,
    replica: REPLICA,
    store: { lease: async () => undefined },
    loader: {
      refresh: async () => {
        seen.refreshes++;
        seen.refreshed();
      },
    },
  } as unknown as Region;
  /** What the wait ends with, and when. */
  const waits = async (session: string): Promise<readonly [string, number]> => {
    let endedMs = -1;
    const ended = (code: string) => (): string => {
      endedMs = host.clock.monotonicMs();
      return code;
    };
    const waiting = waitForSession(session, [counter], region).then(ended('known'), (error: CountingError) =>
      ended(error.code)(),
    );
    await host.clock.advance(3_000);
    return [await waiting, endedMs];
  };
  return { counter, seen, waits };
}

it('is at once through with what is its own, or known', async () => {
  const { counter, seen, waits } = setUp();
  counter.mergeSlot(OTHER, { version: 4n, net: 1n });
  expect(await waits(`${REPLICA}.9, ${OTHER}.4`)).toEqual(['known', 0]);
  expect(seen.refreshes).toBe(0);
});

it('rereads until the update is known', async () => {
  const { counter, seen, waits } = setUp();
  seen.refreshed = () => seen.refreshes === 3 && counter.mergeSlot(OTHER, { version: 4n, net: 1n });
  expect(await waits(`${OTHER}.4`)).toEqual(['known', 150]);
});

it('rereads once for a cut of another replica', async () => {
  const { seen, waits } = setUp();
  expect(await waits(`${OTHER}.0.cut`)).toEqual(['known', 0]);
  expect(seen.refreshes).toBe(1);
});

it('waits for a bounded time, and refuses what is no session', async () => {
  const { waits } = setUp();
  expect(await waits(`${OTHER}.4`)).toEqual(['not_yet_visible', 2_000]);
  expect(await waits('x')).toEqual(['invalid_session', 3_000]);
  expect(await waits(Array(17).fill(`${REPLICA}.1`).join(','))).toEqual(['invalid_session', 6_000]);
});
