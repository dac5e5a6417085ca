// What both stores read, damaged at random: it is parsed or refused, never thrown at, and never walked for ever.
import { describe, expect, it } from 'vitest';
import { seed } from '../../test/seed.ts';
import { type Cut, reset } from '../crdt/cut.ts';
import { mergeSlots } from '../crdt/slot.ts';
import { SeededRandom } from '../std/random.ts';
import { parts, type StateRow } from './postgres/rows.ts';
import { cutText, forEachSlot, parseCut, parseLease, parseState, slotText } from './redis/layout.ts';
import type { ReplicaId } from './slot-store.ts';

const RUNS = 20_000;
const id = (digit: string): ReplicaId => digit.repeat(32);
const SLOTS = ['a', 'b', 'c'].map((digit, i) => ({ replica: id(digit), version: BigInt(i + 1), net: BigInt(100 * i) }));
const SLOTS_TEXT = SLOTS.map(slotText).join('');
const folded = new Map(SLOTS.map(({ replica, version, net }) => [replica, { version, net }]));
const CUT: Cut<ReplicaId> = { ...reset(folded, { version: 4n } as Cut<ReplicaId>, 'ä/1', -7n, 0), folded };

function damage(text: string, random: SeededRandom): string {
  const at = random.below(text.length + 1);
  const bytes = ';: {}"-0123456789abcfx?,[]\\\0é'.split('');
  return random.pick([
    () => text.slice(0, at),
    () => text.slice(at),
    () => text.slice(0, at) + random.pick(bytes) + text.slice(at),
    () => text.slice(0, at) + random.pick(bytes) + text.slice(at + 1),
    () => text.slice(0, at) + text.slice(at + 1 + random.below(40)),
    () => text.slice(0, at) + text.slice(random.below(text.length)),
  ])();
}

describe('what Redis holds', () => {
  it('is read as it was written', () => {
    expect(parseState(SLOTS_TEXT, cutText(CUT))).toEqual({ slots: folded, cut: CUT });
    expect(parseLease(id('a'), '7 {"a":1}')).toEqual({ replica: id('a'), version: 7, document: '{"a":1}' });
  });

  it('is refused when it was cut short', () => {
    for (let length = 1; length < SLOTS_TEXT.length; length++) {
      const isWhole = SLOTS_TEXT[length - 1] === ';';
      expect(parseState(SLOTS_TEXT.slice(0, length), null).damage === undefined, `${length}`).toBe(isWhole);
    }
    const text = cutText(CUT);
    for (let length = 0; length < text.length; length++) expect(parseCut(text.slice(0, length))).toBe(undefined);
  });

  it('is never thrown at, however it is damaged', () => {
    const random = new SeededRandom(seed);
    let refused = 0;
    for (let run = 0; run < RUNS; run++) {
      const [slots, cut] = [damage(SLOTS_TEXT, random), damage(cutText(CUT), random)];
      const state = parseState(slots, cut);
      if (state.damage !== undefined) refused++;
      // What was understood is as it is written again.
      const known = Array.from(state.slots, ([replica, slot]) => slotText({ replica, ...slot })).join('');
      expect(parseState(known, state.cut.version === 0n ? null : cutText(state.cut)).damage).toBe(undefined);
      expect(() => mergeSlots(state.slots, state.cut.folded)).not.toThrow();
      forEachSlot(slots, id('a'), (replica) => expect(replica).not.toBe(id('a')));
      parseLease(id('a'), damage('12 {"format":1}', random));
    }
    expect(refused).toBeGreaterThan(RUNS / 2);
  });
});

describe('what PostgreSQL holds', () => {
  const slot = { name: Buffer.from('x'), replica: 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa', author: null };
  const cut = { name: Buffer.from('x'), replica: null, version: '5', author: 'a', base: '7', is_deleted: false };
  const uuid = slot.replica;
  const rows: readonly (readonly [unknown, boolean])[] = [
    [{ ...slot, version: '1', net: '-1' }, true],
    [{ ...slot, version: '0', net: '-1' }, false],
    [{ ...slot, version: '-4', net: '1' }, false],
    [{ ...slot, name: Buffer.alloc(0), version: '1', net: '1' }, false],
    [{ ...slot, name: Buffer.alloc(256, 97), version: '1', net: '1' }, false],
    [{ ...slot, name: Buffer.from([0xff, 0x41]), version: '1', net: '1' }, false],
    [{ ...cut, folded: { [uuid]: ['3', '4'] } }, true],
    [{ ...cut, folded: {} }, true],
    [{ ...cut, folded: { [uuid]: [3, 4] } }, false],
    [{ ...cut, folded: { [uuid]: '3 4' } }, false],
    [{ ...cut, folded: { [uuid]: null } }, false],
    [{ ...cut, folded: { nobody: ['3', '4'] } }, false],
    [{ ...cut, folded: [] }, false],
    [{ ...cut, folded: null }, false],
    [{ ...cut, folded: 7 }, false],
    [{ ...cut, base: 'NaN', folded: {} }, false],
    [{ ...cut, base: '1.5', folded: {} }, false],
    [{ ...cut, version: '-1', folded: {} }, false],
  ];

  it.each(rows)('row %# is read or refused by name', (row, isWhole) => {
    const { slots, cuts, damaged } = parts([row as StateRow]);
    expect([slots.length + cuts.length, damaged.length]).toEqual(isWhole ? [1, 0] : [0, 1]);
  });
});
