/**
 * What a clock that jumps does to keys and deadlines: nothing that outlasts the jump, also over restarts and snapshots.
 */
import { describe, expect, it } from 'vitest';
import { SimulatedDisk } from '../../test/simulation/disk.ts';
import { simulatedHost } from '../../test/simulation/host.ts';
import { Chunk, type CommandOptions, Flag, Op } from '../counter/chunk.ts';
import { DONE, errorCode } from '../counter/errors.ts';
import { Engine } from './engine.ts';

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

function uuid(birthMs: number, tail: number): string {
  const hex = birthMs.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8abc-${tail.toString(16).padStart(12, '0')}`;
}

class World {
  readonly host = simulatedHost(1);
  readonly disk = new SimulatedDisk({ seed: 1 });
  #engine: Engine | undefined;
  #tail = 0;

  get engine(): Engine {
    if (this.#engine === undefined) throw new Error('not open');
    return this.#engine;
  }

  async open(): Promise<void> {
    const opening = Engine.open({ disk: this.disk, host: this.host, durability: 'always' });
    this.#engine = await this.#settled(opening);
  }

  async restart(): Promise<void> {
    await this.#settled(this.engine.snapshot());
    await this.#settled(this.engine.close());
    await this.open();
  }

  async run(op: Op, name: string, key?: string, options?: CommandOptions): Promise<Chunk> {
    const chunk = new Chunk(1);
    chunk.pushName(op, name, 1n, options);
    if (key !== undefined) chunk.key = { scope: 'request', key, fingerprint: 'aa' };
    const answered = new Promise<Chunk>((resolve) => {
      chunk.complete = () => resolve(chunk);
    });
    this.engine.submit(chunk);
    return this.#settled(answered);
  }

  /** Counts under a key that was made now. */
  async keyed(): Promise<string> {
    const chunk = await this.run(Op.add, 'a', uuid(this.host.clock.nowMs(), ++this.#tail));
    return chunk.refusal === DONE ? 'done' : errorCode(chunk.refusal);
  }

  async exists(name: string): Promise<boolean> {
    return (await this.run(Op.get, name)).hasFlag(0, Flag.existed);
  }

  /** Lets simulated time pass until it has come. */
  async #settled<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    void promise.finally(() => {
      isOver = true;
    });
    for (let turn = 0; turn < 10_000 && !isOver; turn++) await this.host.clock.advance(1);
    return promise;
  }
}

describe.each([YEAR, 2 * HOUR, -2 * HOUR])('a clock that jumps by %d ms for a second', (by) => {
  it.each([false, true])('refuses no key afterwards and forgets none; restarts in it: %s', async (restarts) => {
    const world = new World();
    await world.open();
    await world.run(Op.add, 'opaque', 'opaque');
    world.host.clock.jump(by);
    await world.run(Op.add, 'unkeyed');
    expect(await world.keyed()).toBe('done');
    await world.host.clock.advance(1000);
    if (restarts) await world.restart();
    world.host.clock.jump(-by);
    for (let i = 0; i < 2; i++) {
      expect(await world.keyed()).toBe('done');
      const again = await world.run(Op.add, 'opaque', 'opaque');
      // A start with the clock ahead, after updates with the same wrong time, is the one that ends opaque keys.
      if (by < 0 || !restarts) expect([again.replayed, again.valueAt(0)]).toEqual([true, 1n]);
      await world.restart();
    }
    await world.engine.close();
  });

  it('changes deadlines as long as it lasts: they follow the wall clock', async () => {
    const world = new World();
    await world.open();
    await world.run(Op.add, 'day', undefined, { deadline: { kind: 'in', ms: 24 * HOUR } });
    await world.run(Op.add, 'hour', undefined, { deadline: { kind: 'in', ms: HOUR } });
    world.host.clock.jump(by);
    expect([await world.exists('hour'), await world.exists('day')]).toEqual([by < 0, by < 24 * HOUR]);
    world.host.clock.jump(-by);
    await world.restart();
    world.host.clock.jump(25 * HOUR);
    expect([await world.exists('hour'), await world.exists('day')]).toEqual([false, false]);
    await world.engine.close();
  });
});
