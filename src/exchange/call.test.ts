import { expect, it } from 'vitest';
import { FakeJournal } from '../../test/simulation/fake-journal.ts';
import { Chunk, Flag, Op } from '../counter/chunk.ts';
import { CountingError, DONE, ERRORS } from '../counter/errors.ts';
import { INT64_MAX } from '../counter/int64.ts';
import { Route } from '../counter/route.ts';
import { noCut } from '../crdt/cut.ts';
import type { ReplicaId } from '../store/slot-store.ts';
import { type CallContext, carryOut } from './call.ts';
import type { CutOutcome, Cutter } from './cutter.ts';
import { sessionToken } from './session.ts';
import { SharedCounters } from './shared-counters.ts';

const REPLICA = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);

function setUp() {
  const journal = new FakeJournal();
  const counters = new SharedCounters(REPLICA);
  const seen: string[] = [];
  const cuts: { next: CutOutcome | CountingError } = { next: { existed: true, before: 3n, isChanged: true } };
  const cutter = {
    begin: () => ({ endMs: 0, isPublished: false, hasCut: false }),
    end: async () => undefined,
    set: async (_: unknown, name: string) => {
      seen.push(`set ${name} after ${journal.nets.get(`${name}/1`) ?? 0n}`);
      if (cuts.next instanceof CountingError) throw cuts.next;
      return cuts.next;
    },
  } as unknown as Cutter;
  const context: CallContext = {
    engine: journal.port,
    cutter,
    own: () => ({ replica: REPLICA, ordinal: 1 }),
    nowMs: () => 5_000,
    spare: [],
  };
  const others = (name: string, net: bigint): void => {
    const slots = new Map<ReplicaId, { version: bigint; net: bigint }>([[OTHER, { version: 1n, net }]]);
    counters.take(name).merge({ slots, cut: noCut() });
  };
  /** The commands of one chunk. @param codes per position why a command is not executed */
  const call = async (commands: readonly [Op, string, bigint?][], codes: Record<number, number> = {}) => {
    const chunk = new Chunk(commands.length);
    for (const [op, name, amount = 0n] of commands) {
      const i = chunk.pushName(op, name, amount);
      chunk.route[i] = op === Op.set ? Route.decided : Route.slot;
    }
    const all = new Uint8Array(commands.length);
    for (const [i, code] of Object.entries(codes)) all[Number(i)] = code;
    const held = commands.map(([, name]) => counters.take(name));
    for (const counter of held) counter.pin();
    await carryOut(chunk, held, all, context);
    // Fails where anything is still under way.
    for (const counter of held) counter.unpin();
    return chunk;
  };
  return { journal, counters, context, cuts, seen, others, call };
}

it('answers an add with the sum of all, and counts it in its own slot', async () => {
  const { journal, others, call } = setUp();
  others('a', 5n);
  const chunk = await call([
    [Op.add, 'a', 2n],
    [Op.add, 'a', 3n],
    [Op.get, 'a'],
  ]);
  expect([chunk.valueAt(0), chunk.valueAt(1), chunk.valueAt(2)]).toEqual([7n, 10n, 10n]);
  expect([...journal.nets]).toEqual([['a/1', 5n]]);
});

it('refuses adds that leave 64 bits, with those that are under way, and counts nothing of them', async () => {
  const { counters, journal, others, call } = setUp();
  others('a', INT64_MAX - 5n);
  const chunk = await call([
    [Op.add, 'a', 4n],
    [Op.add, 'a', 4n],
    [Op.add, 'a', 1n],
  ]);
  expect([...chunk.code]).toEqual([DONE, ERRORS.overflow.id, DONE]);
  expect([journal.nets.get('a/1'), counters.take('a').underWay]).toEqual([5n, 0n]);
});

it('leaves nothing under way where the journal refuses', async () => {
  const { counters, journal, others, call } = setUp();
  others('a', INT64_MAX - 5n);
  journal.refusal = ERRORS.unavailable.id;
  const chunk = await call([[Op.add, 'a', 4n]]);
  expect([chunk.code[0], counters.take('a').underWay]).toEqual([ERRORS.unavailable.id, 0n]);
});

it('executes what is not refused, and a cut after the commands before it', async () => {
  const { seen, call } = setUp();
  const refused = { 1: ERRORS.needs_authority.id };
  const chunk = await call(
    [
      [Op.add, 'a', 2n],
      [Op.add, 'b', 1n],
      [Op.set, 'a', 9n],
      [Op.add, 'a', 1n],
    ],
    refused,
  );
  expect([...chunk.code]).toEqual([DONE, ERRORS.needs_authority.id, DONE, DONE]);
  expect(seen).toEqual(['set a after 2']);
  expect([chunk.valueAt(2), chunk.otherAt(2), chunk.hasFlag(2, Flag.changed)]).toEqual([9n, 3n, true]);
});

it('goes on after a cut that was refused, but not after one whose outcome is unknown', async () => {
  const { cuts, journal, call } = setUp();
  cuts.next = new CountingError('store_away');
  const refused = await call([
    [Op.set, 'a', 9n],
    [Op.add, 'a', 1n],
  ]);
  expect([refused.refusal, ...refused.code]).toEqual([DONE, ERRORS.store_away.id, DONE]);
  cuts.next = new CountingError('outcome_unknown');
  const unknown = await call([
    [Op.set, 'a', 9n],
    [Op.add, 'a', 1n],
  ]);
  expect([unknown.refusal, journal.nets.get('a/1')]).toEqual([ERRORS.outcome_unknown.id, 1n]);
});

it('gives a token for what it has changed, and none for reads', async () => {
  const { call } = setUp();
  expect(sessionToken(await call([[Op.get, 'a']]), REPLICA)).toBe('');
  expect(sessionToken(await call([[Op.add, 'a', 1n]]), REPLICA)).toBe(`${REPLICA}.1`);
  expect(sessionToken(await call([[Op.set, 'a', 1n]]), REPLICA)).toBe(`${REPLICA}.0.cut`);
});
