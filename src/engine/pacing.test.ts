import { expect, it } from 'vitest';
import { SimulatedClock } from '../../test/simulation/host.ts';
import { Chunk } from '../counter/chunk.ts';
import { Group } from './group.ts';
import { Pacing } from './pacing.ts';

/** Time passes and turns come only when the test says so. */
class HandClock extends SimulatedClock {
  ms = 0;
  #next: (() => void)[] = [];

  override monotonicMs(): number {
    return this.ms;
  }

  override soon(callback: () => void): void {
    this.#next.push(callback);
  }

  async turn(): Promise<void> {
    for (const callback of this.#next.splice(0)) callback();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A commit that took 5 ms and answered `answered` chunks, then a group that gathers with `waiting` in it. */
function begun(answered: number, waiting: number) {
  const clock = new HandClock();
  const pacing = new Pacing(clock);
  const group = new Group();
  pacing.begin();
  clock.ms += 5;
  pacing.answered(answered);
  pacing.end();
  for (let i = 0; i < waiting; i++) group.chunks.push(new Chunk(1));
  let isOver = false;
  void pacing.gather(group).then(() => {
    isOver = true;
  });
  /** One turn of the event loop, in which so many chunks come. */
  const turn = async (chunks: number): Promise<boolean> => {
    for (let i = 0; i < chunks; i++) group.chunks.push(new Chunk(1));
    await clock.turn();
    return isOver;
  };
  return { clock, turn };
}

it('one client alone does not wait for others', async () => {
  const { turn } = begun(1, 1);
  const lonely = begun(0, 0);
  expect(await lonely.turn(0)).toBe(true);
  expect(await turn(1)).toBe(true);
});

it('waits until as many have come as were answered, beside those that were there already', async () => {
  const { turn } = begun(10, 5);
  for (let i = 0; i < 9; i++) expect(await turn(1)).toBe(false);
  expect(await turn(1)).toBe(true);
});

it('does not wait when nothing comes', async () => {
  const { turn } = begun(10, 5);
  expect(await turn(1)).toBe(false);
  let turns = 0;
  while (!(await turn(0))) turns++;
  expect(turns).toBeLessThan(10);
});

it('waits no longer than the last commit took, however many come', async () => {
  const { clock, turn } = begun(1_000_000, 5);
  for (let i = 0; i < 20; i++) expect(await turn(1)).toBe(false);
  clock.ms += 4;
  expect(await turn(1)).toBe(false);
  clock.ms += 1;
  expect(await turn(1)).toBe(true);
});
