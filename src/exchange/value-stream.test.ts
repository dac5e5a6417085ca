import { expect, it } from 'vitest';
import { SimulatedClock } from '../../test/simulation/host.ts';
import { HandRegion } from '../../test/simulation/region-hand.ts';
import { Op } from '../counter/chunk.ts';
import type { SharedCounter } from './shared-counter.ts';
import { SharedCounters } from './shared-counters.ts';
import { ValueStream } from './value-stream.ts';

const id = (digit: number): string => String(digit).repeat(32);

class Held {
  readonly clock = new SimulatedClock();
  readonly faults: unknown[] = [];
  readonly stream = new ValueStream(this.clock, (fault) => this.faults.push(fault));
  readonly counters: SharedCounters;
  readonly told: string[] = [];

  constructor() {
    const { changed } = this.stream;
    const nothing = (): undefined => undefined;
    this.counters = new SharedCounters(id(0), { givenBack: nothing, cut: nothing, forked: nothing, changed });
  }

  read(): () => void {
    return this.stream.read({ value: (name, value, exists) => this.told.push(`${name} ${exists ? value : 'gone'}`) });
  }

  take(name: string): SharedCounter {
    const counter = this.counters.take(name);
    counter.warm();
    return counter;
  }

  /** What has been told since the last time. */
  async tells(): Promise<string[]> {
    await this.clock.settle();
    return this.told.splice(0);
  }
}

it('tells the newest value of a counter that changed many times, once', async () => {
  const held = new Held();
  held.read();
  const a = held.take('a');
  for (let version = 1n; version <= 5n; version++) {
    a.tookOwn({ version, net: version });
    a.mergeSlot(id(1), { version, net: 10n * version });
  }
  expect(await held.tells()).toEqual(['a 55']);
  expect(await held.tells()).toEqual([]);
});

it('does not tell what is not durable here, and nothing that is known in part', async () => {
  const held = new Held();
  held.read();
  const a = held.take('a');
  a.setOwn(7, 0);
  a.tookOwn({ version: 1n, net: 3n });
  const cold = held.counters.take('cold');
  cold.mergeSlot(id(1), { version: 1n, net: 5n });
  expect(await held.tells()).toEqual(['a 3']);
  cold.warm();
  expect(await held.tells()).toEqual(['cold 5']);
});

it('can be left, and goes on for others when a reader throws', async () => {
  const held = new Held();
  const fault = new Error('a reader that throws');
  held.stream.read({
    value() {
      throw fault;
    },
  });
  const leave = held.read();
  const a = held.take('a');
  a.tookOwn({ version: 1n, net: 1n });
  expect(await held.tells()).toEqual(['a 1']);
  a.tookOwn({ version: 2n, net: 2n });
  expect(await held.tells()).toEqual(['a 2']);
  expect(held.faults).toEqual([fault]);
  leave();
  a.tookOwn({ version: 3n, net: 3n });
  expect(await held.tells()).toEqual([]);
});

it('tells on every node what any of them counts, sets and deletes', async () => {
  const region = new HandRegion();
  const nodes = [(await region.open(region.disk(1))).node, (await region.open(region.disk(2))).node] as const;
  const told = nodes.map((node) => {
    const last = new Map<string, bigint | 'gone'>();
    node.exchange.readValues({ value: (name, value, exists) => last.set(name, exists ? value : 'gone') });
    return last;
  });
  for (const node of nodes) for (const name of ['a', 'b', 'c']) await region.inTime(node.add(name, 5n));
  await region.passes(300);
  await region.inTime(nodes[0].set('b', 100n));
  await region.inTime(nodes[1].call((chunk) => chunk.pushName(Op.delete, 'c')));
  await region.inTime(nodes[1].add('b', 1n));
  await region.passes(300);
  const expected = new Map<string, bigint | 'gone'>([
    ['a', 10n],
    ['b', 101n],
    ['c', 'gone'],
  ]);
  expect(told).toEqual([expected, expected]);
  for (const node of nodes) await region.inTime(node.close());
});
