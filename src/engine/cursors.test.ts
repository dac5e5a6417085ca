// A cursor cannot make a listing read anything but whole blocks, whoever has made it.

import { describe, expect, it } from 'vitest';
import { seed } from '../../test/seed.ts';
import { CountingError } from '../counter/errors.ts';
import { Kind } from '../counter/key.ts';
import { SeededRandom } from '../std/random.ts';
import { Cursors } from './cursors.ts';
import { FIRST_UNIT, Slab } from './slab.ts';

/** A slab of blocks of all lengths, and where they begin. */
function filled(blocks: number, random: SeededRandom): { slab: Slab; begins: number[] } {
  const slab = new Slab();
  const name = new DataView(new Uint8Array(256).fill(65).buffer);
  const refs = Array.from({ length: blocks }, () => slab.insert(Kind.counter, 1 + random.below(255), name, 0));
  for (const ref of refs) if (random.chance(0.2)) slab.remove(ref);
  const begins: number[] = [];
  for (let at = FIRST_UNIT; at < slab.frontier; at = slab.behind(at)) begins.push(at);
  return { slab, begins };
}

describe('cursors', () => {
  it('a cursor that was given is good for its position, whatever others were given', () => {
    const { slab, begins } = filled(5000, new SeededRandom(seed));
    const cursors = new Cursors(slab, new Uint8Array(8).fill(1));
    const given = begins.map((position) => [position, cursors.give(position)] as const).reverse();
    for (const [position, cursor] of given) expect(cursors.take(cursor)).toBe(position);
  });

  it('a cursor with the right check leads nowhere but to where a block begins', () => {
    const random = new SeededRandom(seed);
    const { slab, begins } = filled(2000, random);
    const key = new Uint8Array(8).fill(2);
    const cursors = new Cursors(slab, key);
    for (const position of begins) if (random.chance(0.05)) cursors.give(position);
    // Whoever guesses the check: the same key gives it for any position.
    const forger = new Cursors(slab, key);
    const blocks = new Set(begins);
    let met = 0;
    for (let position = 0; position < slab.frontier + 5000; position++) {
      const cursor = forger.give(position);
      if (blocks.has(position) && leadsTo(cursors, cursor) === position) met++;
      else expect(leadsTo(cursors, cursor), cursor).toBe('invalid_cursor');
    }
    expect(met).toBeGreaterThan(begins.length / 2);
    expect(leadsTo(cursors, forger.give(2 ** 31 - 1))).toBe('invalid_cursor');
  });
});

/** The position, or the code that the cursor is refused with. */
function leadsTo(cursors: Cursors, cursor: string): number | string {
  try {
    return cursors.take(cursor);
  } catch (error) {
    if (error instanceof CountingError) return error.code;
    throw error;
  }
}
