/** Nothing waits for what does not concern it: no stall of the event loop, no flush for a timer. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { Chunk, Op } from '../counter/chunk.ts';
import type { Durability } from '../counter/service.ts';
import { NodeDisk } from '../host/node/disk.ts';
import { nodeHost } from '../host/node/node.ts';
import { Engine } from './engine.ts';

const CHUNKS = 3;
const COMMANDS = 16_000;

let directory: string;
let engine: Engine | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tallyd-pauses-'));
});

afterEach(async () => {
  await engine?.close();
  engine = undefined;
  await rm(directory, { recursive: true });
});

async function open(durability: Durability): Promise<Engine> {
  engine = await Engine.open({ disk: new NodeDisk(directory), host: nodeHost(), durability });
  return engine;
}

function submit(engine: Engine, op: Op, names: readonly string[]): Promise<Chunk> {
  const chunk = new Chunk();
  for (const name of names) chunk.pushName(op, name, 7n);
  return new Promise((resolve) => {
    chunk.complete = () => resolve(chunk);
    engine.submit(chunk);
  });
}

describe('a walk behind many deletions', () => {
  it('is cut into pages and parts, and finds every counter', async () => {
    const opened = await open('always');
    const chunks = Array.from({ length: CHUNKS }, (_, c) => Array.from({ length: COMMANDS }, (_, i) => `${c}:${i}`));
    for (const names of chunks) await submit(opened, Op.add, names);
    await submit(opened, Op.add, ['last']);
    for (const names of chunks) await submit(opened, Op.delete, names);
    const pages = [await opened.scan({ count: 10 })];
    for (let cursor = pages[0].cursor; cursor !== undefined; cursor = pages[pages.length - 1].cursor)
      pages.push(await opened.scan({ count: 10, cursor }));
    expect(pages.length).toBe(3);
    expect(pages.flatMap((page) => page.entries.map((entry) => entry.name))).toEqual(['last']);
    expect((await opened.snapshot()).counters).toBe(1);
    await opened.close();
    expect((await submit(await open('always'), Op.get, ['last'])).valueAt(0)).toBe(7n);
  });
});

describe.each(['interval', 'off'] as const)('a flush in mode %s', (durability) => {
  it('syncs at once, at whatever moment it is asked for', async () => {
    const host = simulatedHost(1);
    const simulated = await Engine.open({ disk: new SimulatedDisk({ seed: 1 }), host, durability });
    const begin = host.clock.monotonicMs();
    for (let ticks = 0; ticks < 6; ticks++) {
      const chunk = new Chunk();
      chunk.pushName(Op.add, 'a', 1n);
      let flushed = false;
      chunk.complete = () => {
        // So many turns of the promise queue after the reply.
        let turns = Promise.resolve();
        for (let tick = 0; tick < ticks; tick++) turns = turns.then(() => undefined);
        void turns
          .then(() => simulated.flush())
          .then(() => {
            flushed = true;
          });
      };
      simulated.submit(chunk);
      for (let turn = 0; turn < 20; turn++) await host.clock.settle();
      expect(flushed).toBe(true);
    }
    expect(host.clock.monotonicMs()).toBe(begin);
    await simulated.close();
  });
});
