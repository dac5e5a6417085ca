import { expect, it } from 'vitest';
import { simulatedHost } from '../../test/simulation/host.ts';
import { StoreError } from '../store/slot-store.ts';
import { Outage } from './outage.ts';
import { SharedCounters } from './shared-counters.ts';

it('a store that answers between two failures, as one that is being loaded does, is not reported as back', async () => {
  const said: string[] = [];
  const host = simulatedHost(1);
  const say = (what: string) => () => void said.push(what);
  const outage = new Outage({
    host,
    counters: new SharedCounters('a'.repeat(32)),
    loader: () => expect.unreachable(),
    isClosing: () => false,
    giveUp: say('given up'),
    onFailure: say('away'),
    onRepaired: say('back'),
    onUnwritten: say('unwritten'),
    onFatal: say('fatal'),
  });
  for (let i = 0; i < 20; i++) {
    outage.failed(new StoreError('a table is missing'));
    outage.answered();
    expect(outage.hasFailed).toBe(false);
    await host.clock.advance(1_000);
    outage.answered();
  }
  expect(said).toEqual(['away']);
  for (let i = 0; i < 20; i++) {
    await host.clock.advance(1_000);
    outage.answered();
  }
  expect(said).toEqual(['away', 'back']);
});
