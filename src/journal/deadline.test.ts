import { stat } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { SimulatedClock } from '../../test/simulation/host.ts';
import { NodeClock } from '../host/node/clock.ts';
import { within } from './deadline.ts';
import { JournalFailure } from './errors.ts';

it('passes the result on, and an error as a failure of the journal that tells its cause', async () => {
  const clock = new SimulatedClock();
  expect(await within(clock, 10, 'reading', Promise.resolve(7))).toBe(7);
  const cause = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const failed = within(clock, 10, 'writing', Promise.reject(cause));
  await expect(failed).rejects.toMatchObject({ name: 'JournalFailure', message: 'no space', cause });
});

it('fails when the time has passed, and hands over what comes later', async () => {
  const clock = new SimulatedClock();
  let complete: (result: string) => void = () => undefined;
  const late: string[] = [];
  const work = new Promise<string>((resolve) => {
    complete = resolve;
  });
  const result = within(clock, 10, 'writing', work, (what) => late.push(what));
  const refused = expect(result).rejects.toThrow(new JournalFailure('writing took longer than 10 ms'));
  await clock.advance(10);
  await refused;
  complete('in the end');
  await clock.settle();
  expect(late).toEqual(['in the end']);
});

it('does not count the time in which the event loop stalls: the disk may have answered meanwhile', async () => {
  const result = within(new NodeClock(), 50, 'looking', stat('.'));
  for (const until = performance.now() + 300; performance.now() < until; );
  expect((await result).isDirectory()).toBe(true);
});
