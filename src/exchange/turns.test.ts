import { expect, it } from 'vitest';
import { SimulatedClock } from '../../test/simulation/host.ts';
import { TURN_STEPS, Turns } from '../engine/turns.ts';
import { COUNTER_STEPS, inTurns } from './turns.ts';

it('goes through many counters in pages, no more of them in a turn than fit', async () => {
  let turn = 0;
  class CountingClock extends SimulatedClock {
    override soon(callback: () => void): void {
      super.soon(() => {
        turn++;
        callback();
      });
    }
  }
  const clock = new CountingClock();
  const engine = new Turns(clock, () => undefined);
  const seen: number[] = [];
  const perTurn = new Map<number, number>();
  const visit = (page: readonly number[]): void => {
    seen.push(...page);
    perTurn.set(turn, (perTurn.get(turn) ?? 0) + page.length);
  };
  const items = Array.from({ length: 50_000 }, (_, i) => i);
  const turns = { turn: (steps: number) => engine.next(steps) };
  // Two at once share the turns.
  const done = Promise.all([inTurns(turns, items, visit), inTurns(turns, items, visit)]);
  await clock.settle();
  await done;
  expect(seen.toSorted((a, b) => a - b)).toEqual(items.flatMap((item) => [item, item]));
  expect(Math.max(...perTurn.values()) * COUNTER_STEPS).toBeLessThan(TURN_STEPS + 1_000 * COUNTER_STEPS);
});
