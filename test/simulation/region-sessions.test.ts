// What a session has changed on one node it finds on every other, in every mode of durability.
import { describe, expect, it } from 'vitest';
import { Op } from '../../src/counter/chunk.ts';
import { retire } from '../../src/exchange/retire.ts';
import { type Assertion, type SlotStore, StoreError } from '../../src/store/slot-store.ts';
import { AFTER_A_CRASH_MS, HandRegion, SOON_MS, value } from './region-hand.ts';
import { type CallOutcome, LEASE_MS, type RegionNode } from './region-node.ts';

const MODES = ['always', 'interval', 'off'] as const;

function session(outcome: CallOutcome): string {
  if (outcome.kind !== 'done') throw new Error(`no session: ${outcome.code}`);
  return outcome.session;
}

function read(node: RegionNode, name: string, token: string): Promise<CallOutcome> {
  return node.call((chunk) => {
    chunk.pushName(Op.get, name);
    chunk.session = token;
  });
}

describe.each(MODES)('in mode %s', (durability) => {
  it('an update is seen on another node, and a counter that it did not touch is read', async () => {
    const world = new HandRegion();
    const { node: a } = await world.open(world.disk(1), { durability });
    const { node: b } = await world.open(world.disk(2), { durability });
    for (const name of ['x', 'untouched']) await world.inTime(b.get(name));
    for (let count = 1n; count <= 5n; count++) {
      const token = session(await world.inTime(a.add('x', 1n)));
      expect(value(await world.inTime(read(b, 'x', token)))).toBe(count);
    }
    const token = session(await world.inTime(a.add('x', 1n)));
    expect(value(await world.inTime(read(b, 'untouched', token)))).toBe(0n);
  });

  it('the token of one of many updates is that of its own group: no later one has to reach the other node', async () => {
    const world = new HandRegion();
    const { node: a, cut } = await world.open(world.disk(1), { durability });
    const { node: b } = await world.open(world.disk(2), { durability });
    await world.inTime(b.get('x'));
    const first = a.add('x', 1n);
    await world.passes(0);
    const others = Array.from({ length: 50 }, (_, i) => a.add(`other ${i}`, 1n));
    const token = session(await world.inTime(first));
    await world.inTime(Promise.all(others));
    await world.passes(SOON_MS);
    // Its lease does not tell any more how far it has come.
    cut();
    expect(value(await world.inTime(read(b, 'x', token)))).toBe(1n);
  });

  it('an update that has not reached the store is refused elsewhere, and seen at once where it was made', async () => {
    const world = new HandRegion();
    const { node: a, cut } = await world.open(world.disk(1), { durability });
    const { node: b } = await world.open(world.disk(2), { durability });
    for (const node of [a, b]) await world.inTime(node.get('x'));
    await world.inTime(a.add('x', 1n));
    await world.passes(SOON_MS);
    cut();
    const token = session(await world.inTime(a.add('x', 1n)));
    expect(value(await world.inTime(read(b, 'x', token)))).toBe('not_yet_visible');
    expect(value(await world.inTime(read(a, 'x', token)))).toBe(2n);
  });

  it('a set and a deletion are seen on another node, and what was counted beside them', async () => {
    const world = new HandRegion();
    const { node: a } = await world.open(world.disk(1), { durability });
    const { node: b } = await world.open(world.disk(2), { durability });
    for (const name of ['x', 'y']) await world.inTime(b.get(name));
    const token = session(await world.inTime(a.set('x', 7n)));
    expect(value(await world.inTime(read(b, 'x', token)))).toBe(7n);
    const both = await world.inTime(
      a.call((chunk) => {
        chunk.pushName(Op.delete, 'x');
        chunk.pushName(Op.add, 'y', 2n);
      }),
    );
    expect(await world.inTime(read(b, 'x', session(both)))).toMatchObject({ value: 0n, existed: false });
    expect(value(await world.inTime(read(b, 'y', session(both))))).toBe(2n);
  });
});

it('what a crash has lost is not waited for when its replica has ended', async () => {
  const world = new HandRegion();
  const disk = world.disk(1);
  const { node: a, cut } = await world.open(disk, { durability: 'off' });
  const { node: b } = await world.open(world.disk(2), { durability: 'off' });
  await world.inTime(a.add('x', 1n));
  await world.passes(SOON_MS);
  void disk.stopAt(disk.operations + 1);
  const token = session(await world.inTime(a.add('x', 1n)));
  cut();
  await world.open(disk.crash(), { durability: 'off' });
  await world.passes(AFTER_A_CRASH_MS);
  expect(value(await world.inTime(read(b, 'x', token)))).toBe(1n);
});

it('a call in which its replica was taken for dead gives no token: it has counted under either id', async () => {
  const world = new HandRegion();
  const { node: a, cut, mend } = await world.open(world.disk(1));
  const { node: b } = await world.open(world.disk(2));
  for (const name of ['x', 'y']) await world.inTime(a.get(name));
  cut();
  const token = session(await world.inTime(a.add('x', 1n)));
  const { replica } = a.exchange.storeInfo();
  await world.inTime(retire(world.store.connect(), world.host, replica, 2 * LEASE_MS));
  const call = a.call((chunk) => {
    chunk.pushName(Op.add, 'x', 1n);
    chunk.pushName(Op.set, 'y', 1n);
    chunk.pushName(Op.add, 'y', 1n);
  });
  mend();
  expect(session(await world.inTime(call))).toBe('');
  expect(a.exchange.storeInfo().replica).not.toBe(replica);
  // What it had counted as the one that was retired comes after all.
  await world.passes(AFTER_A_CRASH_MS);
  for (const node of [a, b]) expect(value(await world.inTime(read(node, 'x', token)))).toBe(2n);
});

it('what changes nothing gives no token, and what is none is refused', async () => {
  const world = new HandRegion();
  const { node } = await world.open(world.disk());
  expect(session(await world.inTime(node.get('x')))).toBe('');
  expect(session(await world.inTime(node.delete('x')))).toBe('');
  for (const token of ['x', `${'a'.repeat(32)}.`, `${'a'.repeat(32)}.-1`, `${'a'.repeat(32)}.1.set`]) {
    expect(value(await world.inTime(read(node, 'x', token)))).toBe('invalid_session');
  }
});

it('a store that went back has no update that its lease had said to be there, until it is told again', async () => {
  const world = new HandRegion();
  let isFull = false;
  const between = (store: SlotStore): SlotStore => {
    const merge = store.merge.bind(store);
    return Object.assign(store, {
      merge: async (assertion: Assertion) => {
        if (isFull) throw new StoreError('its disk is full');
        return merge(assertion);
      },
    });
  };
  const { node: a } = await world.open(world.disk(1), { between });
  const { node: b } = await world.open(world.disk(2));
  await world.passes(SOON_MS);
  const goBack = world.store.image();
  const token = session(await world.inTime(a.add('x', 1n)));
  await world.passes(SOON_MS);
  isFull = true;
  goBack('keeps term');
  // The first renewal finds the loss.
  const before = a.exchange.storeInfo().wentBack;
  while (a.exchange.storeInfo().wentBack === before) await world.passes(1);
  const { replica } = a.exchange.storeInfo();
  const lease = world.store.leases().find((one) => one.replica === replica);
  expect(JSON.parse(lease?.document ?? '{}')).toMatchObject({ state: 'running', through: '0' });
  expect(value(await world.inTime(read(b, 'x', token)))).toBe('not_yet_visible');
  isFull = false;
  await world.passes(AFTER_A_CRASH_MS);
  expect(value(await world.inTime(read(b, 'x', token)))).toBe(1n);
});
