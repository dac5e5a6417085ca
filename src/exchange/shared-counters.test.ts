import { describe, expect, it } from 'vitest';
import { noCut, reset } from '../crdt/cut.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import { OwnId, type SharedCounter } from './shared-counter.ts';
import { SharedCounters } from './shared-counters.ts';

const id = (digit: number): ReplicaId => String(digit).repeat(32);
const slots = (count: number) =>
  new Map(Array.from({ length: count }, (_, i) => [id(i + 1), { version: 1n, net: 5n }] as const));

describe('the memory of shared counters', () => {
  it('grows with every slot of another replica, and is given back with them and with the counter', () => {
    const counters = new SharedCounters(id(0));
    const counter = counters.take('a');
    const bytes = [counters.bytes];
    for (const count of [1, 3, 8]) {
      counter.merge({ slots: slots(count), cut: noCut() });
      bytes.push(counters.bytes);
    }
    expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
    expect(new Set(bytes).size).toBe(4);
    counter.merge({ slots: slots(8), cut: noCut() });
    counter.mergeSlot(id(8), { version: 2n, net: 6n });
    expect(counters.bytes, 'the same slots, one of them newer').toBe(bytes[3]);
    counter.merge({ slots: new Map(), cut: reset(slots(8), noCut<ReplicaId>(), 'x', 1n, 0) });
    expect(counter.value).toBe(2n);
    counters.forget(counter);
    expect(counters.bytes).toBe(0);
    counter.merge({ slots: slots(9), cut: noCut() });
    expect(counters.bytes, 'what has left does not count').toBe(0);
  });

  it('knows what a replica has counted under its past id as a slot like others', () => {
    const counters = new SharedCounters(id(0));
    const counter = counters.take('a');
    const before = counters.bytes;
    counter.setOwn(7, 0);
    counter.tookOwn({ version: 3n, net: 7n });
    counters.startAnew(id(9), 4n);
    expect(counter.value).toBe(7n);
    expect([counter.knows(id(0), 4n), counter.knows(id(0), 5n)]).toEqual([true, false]);
    expect(counters.bytes).toBeGreaterThan(before);
  });

  it('goes on under another id without going through all of its counters', () => {
    const counters = new SharedCounters(id(0));
    const held = Array.from({ length: 1_000 }, (_, i) => counters.take(`c:${i}`));
    for (const counter of held) {
      counter.setOwn(7, 0);
      counter.tookOwn({ version: 3n, net: 5n });
    }
    const before = counters.bytes;
    counters.startAnew(id(1), 4n);
    counters.startAnew(id(2), 9n);
    expect(counters.bytes, 'none of them was touched').toBe(before);
    const [read, counted, durable, merged] = held as [SharedCounter, SharedCounter, SharedCounter, SharedCounter];
    const past = [[id(0), { version: 4n, net: 5n }]];
    expect([read.value, read.exists, read.ownNet, read.ownVersion, [...read.slots]]).toEqual([7n, true, 0n, 0n, past]);
    counted.setOwn(1, 0);
    expect([counted.value, counted.ownNet, [...counted.slots]]).toEqual([8n, 1n, past]);
    // The group comes that was not durable then, and another outcome of a run that began under the first id.
    durable.mergeSlot(id(0), { version: 5n, net: 7n });
    durable.left(id(0), 8n);
    durable.mergeSlot(id(0), { version: 6n, net: 8n });
    expect([durable.value, durable.durableNet]).toEqual([8n, 0n]);
    merged.merge({ slots: new Map([[id(2), { version: 1n, net: 99n }]]), cut: noCut() });
    expect([merged.value, merged.knows(id(2), 9n), [...merged.slots]]).toEqual([7n, true, past]);
  });
});

describe('a counter that calls need', () => {
  it('is not forgotten, has nothing under way after the last, and is given back once', () => {
    const counters = new SharedCounters(id(0));
    const counter = counters.take('a');
    counter.pin();
    expect(() => counters.forget(counter)).toThrow('a counter that a call needs is not forgotten');
    counter.underWay = 1n;
    expect(() => counters.unpin(counter)).toThrow('nothing is under way');
    counter.underWay = 0n;
    expect(() => counters.unpin(counter)).toThrow('pins are never negative');
    counters.forget(counter);
  });

  it('counts under each id once', () => {
    const own = new OwnId(id(0));
    expect(() => own.end(id(0), 1n)).toThrow('an id ends once');
    own.end(id(1), 1n);
    expect(() => own.end(id(2), 2n)).toThrow('an id ends once');
  });
});
