import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../test/simulation/host.ts';
import { Turns, type Work } from './turns.ts';

/** A clock whose time passes only in steps, and that counts turns. */
class StepClock extends SimulatedClock {
  turns = 0;
  spentMs = 0;

  override monotonicMs(): number {
    return this.spentMs;
  }

  override soon(callback: () => void): void {
    super.soon(() => {
      this.turns++;
      callback();
    });
  }
}

const clock = new StepClock();
const turns = new Turns(clock);

function* work(steps: number, stepMs: number): Work<string> {
  for (let step = 1; step < steps; step++) {
    clock.spentMs += stepMs;
    yield;
  }
  return 'done';
}

const turnsOf = async (start: (done: (error: unknown, result: unknown) => void) => void): Promise<number> => {
  clock.turns = 0;
  let told: unknown;
  start((error, result) => {
    told = error ?? result;
  });
  await clock.settle();
  expect(told).toBe('done');
  return clock.turns;
};

it('work of one step is done at once', async () => {
  expect(await turnsOf((done) => turns.run(work(1, 9), done))).toBe(0);
});

it('steps share a turn until they have taken 5 ms of it, whoever they belong to', async () => {
  expect(await turnsOf((done) => turns.run(work(21, 1), done))).toBe(4);
  expect(await turnsOf((done) => turns.run(work(21, 7), done))).toBe(20);
  const two = turnsOf((done) => {
    turns.run(work(11, 7), () => undefined);
    turns.run(work(11, 7), done);
  });
  // The last step of each takes no time.
  expect(await two).toBe(2 * 9 + 1);
});

it('a promise has the rest of its turn', async () => {
  clock.turns = 0;
  const before: number[] = [];
  for (let i = 0; i < 3; i++) void turns.next().then(() => before.push(clock.turns));
  await clock.settle();
  expect(before).toEqual([1, 2, 3]);
});

it('an error of the work is handed over', () => {
  const broken = new Error('broken');
  const failing = work(2, 1);
  failing.next = () => {
    throw broken;
  };
  turns.run(failing, (error) => expect(error).toBe(broken));
  expect.assertions(1);
});
