import { expect, it } from 'vitest';
import { SimulatedClock } from '../../test/simulation/host.ts';
import { BoundedLog, type Log } from './log.ts';

class Lines implements Log {
  readonly lines: unknown[] = [];

  info(data: object, message: string): void {
    this.lines.push(['info', message, data]);
  }

  warn(data: object, message: string): void {
    this.lines.push(['warn', message, data]);
  }

  error(data: object, message: string): void {
    this.lines.push(['error', message, data]);
  }
}

it('of what clients cause again and again there is one line a second and kind, and one with the number of the others', async () => {
  const clock = new SimulatedClock();
  const lines = new Lines();
  const log = new BoundedLog(lines, clock);
  const cut = (client: number, reason: string): void => log.warn({ client, reason }, 'connection cut');
  for (let second = 0; second < 5; second++) {
    for (let client = 0; client < 600; client++) cut(client, 'too slow');
    await clock.advance(1_001);
  }
  expect(lines.lines).toHaveLength(10);
  expect(lines.lines.slice(0, 3)).toEqual([
    ['warn', 'connection cut', { client: 0, reason: 'too slow' }],
    ['warn', 'connection cut', { reason: 'too slow', more: 599 }],
    ['warn', 'connection cut', { client: 0, reason: 'too slow' }],
  ]);
});

it('lines of other kinds, and those that come alone, are written as they are', async () => {
  const clock = new SimulatedClock();
  const lines = new Lines();
  const log = new BoundedLog(lines, clock);
  log.warn({ reason: 'a' }, 'connection cut');
  log.warn({ reason: 'b' }, 'connection cut');
  log.error({ err: 1 }, 'a command failed');
  log.info({}, 'closed');
  await clock.advance(5_000);
  expect(lines.lines).toEqual([
    ['warn', 'connection cut', { reason: 'a' }],
    ['warn', 'connection cut', { reason: 'b' }],
    ['error', 'a command failed', { err: 1 }],
    ['info', 'closed', {}],
  ]);
});
