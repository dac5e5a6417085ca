import { expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { Chunk, Op } from '../counter/chunk.ts';
import { Engine } from './engine.ts';

it.each(['interval', 'off'] as const)(
  'a flush during another one does not wait for the next sync by time: %s',
  async (durability) => {
    const host = simulatedHost(1);
    const disk = new SimulatedDisk({ seed: 1, clock: host.clock, latencyMs: 4 });
    const inTime = async <T>(work: Promise<T>): Promise<T> => {
      let isDone = false;
      const settled = work.finally(() => {
        isDone = true;
      });
      for (let i = 0; i < 500 && !isDone; i++) await host.clock.advance(1);
      expect(isDone).toBe(true);
      return settled;
    };
    const engine = await inTime(Engine.open({ disk, host, durability }));
    const add = (): void => {
      const chunk = new Chunk();
      chunk.pushName(Op.add, 'a', 1n);
      chunk.complete = () => undefined;
      engine.submit(chunk);
    };
    // At every moment of the first one, its write and its sync included.
    for (let afterMs = 0; afterMs < 12; afterMs++) {
      add();
      const first = engine.flush();
      await host.clock.advance(afterMs);
      add();
      await inTime(Promise.all([first, engine.flush()]));
    }
  },
);
