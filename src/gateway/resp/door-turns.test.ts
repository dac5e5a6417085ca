// Many clients at once: the turns of the event loop end, and everybody is answered.

import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SimulatedClock } from '../../../test/simulation/host.ts';
import { closeDoors, HeldDoor } from '../../../test/wire/held-door.ts';
import { words } from '../../../test/wire/raw-client.ts';
import { DoorTurns } from './door-turns.ts';

afterEach(closeDoors);

describe('turns', () => {
  it('who waits is served in order, in turns that end; who comes back waits for the next one', async () => {
    const clock = new SimulatedClock();
    let nowMs = 0;
    vi.spyOn(clock, 'monotonicMs').mockImplementation(() => nowMs);
    const turns = new DoorTurns(clock);
    const served: string[] = [];
    expect(turns.isOver).toBe(false);
    nowMs += 10;
    expect(turns.isOver).toBe(true);
    const serve = (name: string, times: number) => (): void => {
      served.push(`${name} at ${nowMs}`);
      nowMs += 5;
      if (times > 1) turns.later(serve(name, times - 1));
    };
    for (const name of ['a', 'b', 'c']) turns.later(serve(name, 2));
    expect(turns.isWantedByOthers).toBe(true);
    await clock.settle();
    expect(served.map((line) => line[0]).join('')).toBe('abcabc');
    expect(turns.isWantedByOthers).toBe(false);
  });

  it('a client whose turn is later loses no request and gets its replies in order', async () => {
    const later = vi.spyOn(DoorTurns.prototype, 'later');
    const { clock, connect, service } = await HeldDoor.open('direct');
    let nowMs = 0;
    // Each look at the clock finds the turn over.
    vi.spyOn(clock, 'monotonicMs').mockImplementation(() => (nowMs += 10));
    const clients = [await connect(), await connect(), await connect()];
    const numbers = Array.from({ length: 40 }, (_, i) => i);
    for (const client of clients) {
      for (const i of numbers) client.send(Buffer.concat([words(`ECHO ${i}`), words('INCR a')]));
      client.socket.end('ECHO last\r\nECHO half');
    }
    const texts = Promise.all(clients.map((client) => client.rest()));
    let isDone = false;
    void texts.then(() => {
      isDone = true;
    });
    let completed = 0;
    while (!isDone) {
      await clock.settle();
      await turn();
      for (; completed < service.seen.length; completed++) service.complete();
    }
    const counts: number[] = [];
    for (const text of await texts) {
      const replies = text.split('\r\n');
      expect(replies.filter((_, at) => at % 3 === 1)).toEqual([...numbers.map(String), 'last']);
      counts.push(...replies.filter((reply) => reply.startsWith(':')).map((reply) => Number(reply.slice(1))));
    }
    expect(later.mock.calls.length).toBeGreaterThan(10);
    expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
  });
});
