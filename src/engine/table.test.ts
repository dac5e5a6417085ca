import { describe, expect, it } from 'vitest';
import { seed } from '../../test/seed.ts';
import { Kind } from '../counter/key.ts';
import { viewOf } from '../std/columns.ts';
import { SeededRandom } from '../std/random.ts';
import { NameHash } from './hash.ts';
import { FIRST_UNIT, Slab } from './slab.ts';
import { Table } from './table.ts';

const encoder = new TextEncoder();
const key = (name: string): DataView => viewOf(encoder.encode(name));

function insert(table: Table, name: string): number {
  const bytes = key(name);
  return table.insert(table.hash(Kind.counter, bytes.byteLength, bytes, 0), Kind.counter, bytes.byteLength, bytes, 0);
}

function find(table: Table, name: string): number {
  const bytes = key(name);
  return table.find(table.hash(Kind.counter, bytes.byteLength, bytes, 0), Kind.counter, bytes.byteLength, bytes, 0);
}

describe('the hash', () => {
  it('is HalfSipHash-1-3: an independent implementation over 64-bit integers agrees', () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 200; round++) {
      const secret = Uint8Array.from({ length: 8 }, () => random.below(256));
      const bytes = Uint8Array.from({ length: random.below(40) }, () => random.below(256));
      expect(new NameHash(secret).of(0, viewOf(bytes), 0, bytes.length) >>> 0).toBe(halfSipHash13(secret, bytes));
    }
  });

  it('depends on the kind and on every byte', () => {
    const hash = new NameHash(new Uint8Array(8));
    const seen = new Set<number>();
    for (let length = 0; length < 24; length++) {
      for (const kind of [0, 1]) seen.add(hash.of(kind, viewOf(new Uint8Array(32)), 0, length));
    }
    expect(seen.size).toBe(48);
  });
});

describe('the table', () => {
  it('finds what was inserted, and only that, through growth, removal and reuse', () => {
    const random = new SeededRandom(seed);
    const table = new Table(new Uint8Array(8).fill(3));
    const model = new Map<string, number>();
    const refs = new Map<number, string>();
    for (let step = 0; step < 60_000; step++) {
      const name = `${'x'.repeat(random.below(40))}:${random.below(20_000)}`;
      const ref = find(table, name);
      expect(ref, `seed ${seed} step ${step}`).toBe(model.get(name) ?? 0);
      if (ref === 0) {
        const inserted = insert(table, name);
        expect(refs.has(inserted)).toBe(false);
        model.set(name, inserted);
        refs.set(inserted, name);
      } else if (random.chance(0.4)) {
        table.remove(ref);
        model.delete(name);
        refs.delete(ref);
      }
    }
    expect(table.count).toBe(model.size);
    for (const [name, ref] of model) expect(find(table, name)).toBe(ref);
    const walked = new Set<number>();
    for (let at = FIRST_UNIT; at < table.slab.frontier; at = table.slab.behind(at))
      if (table.slab.isRecord(at)) walked.add(at);
    expect(walked).toEqual(new Set(model.values()));
  });

  it('splits leaves without losing a record, far beyond one leaf', () => {
    const table = new Table(new Uint8Array(8).fill(9));
    const refs: number[] = [];
    for (let i = 0; i < 200_000; i++) refs.push(insert(table, `name-${i}`));
    for (let i = 0; i < refs.length; i++) if (find(table, `name-${i}`) !== refs[i]) expect.fail(`name-${i} is lost`);
    expect(find(table, 'name-200000')).toBe(0);
    for (let i = 0; i < refs.length; i += 2) table.remove(refs[i]);
    for (let i = 0; i < refs.length; i++)
      if (find(table, `name-${i}`) !== (i % 2 === 0 ? 0 : refs[i])) expect.fail(`name-${i}`);
  });

  it('keeps kinds apart: a derived key never meets a name with the same bytes', () => {
    const table = new Table(new Uint8Array(8));
    const bytes = key('views:42ABCDEFGH');
    const counter = table.insert(table.hash(Kind.counter, 16, bytes, 0), Kind.counter, 16, bytes, 0);
    const window = table.insert(table.hash(Kind.window, 8, bytes, 0), Kind.window, 8, bytes, 0);
    expect(window).not.toBe(counter);
    expect(table.find(table.hash(Kind.window, 8, bytes, 0), Kind.window, 8, bytes, 0)).toBe(window);
    expect(find(table, 'views:42ABCDEFGH')).toBe(counter);
    expect(find(table, 'views:42')).toBe(0);
  });

  it('fills a piece to its end and goes on in the next, walkable throughout', () => {
    const slab = new Slab();
    const name = viewOf(new Uint8Array(255).fill(65));
    let count = 0;
    while (slab.lanes.length < 2) {
      slab.insert(Kind.counter, 255, name, 0);
      count++;
    }
    let walked = 0;
    for (let at = FIRST_UNIT; at < slab.frontier; at = slab.behind(at)) if (slab.isRecord(at)) walked++;
    expect(walked).toBe(count);
  });
});

/** Straight from the paper's figure, in 64-bit integers masked to 32: no lane tricks. */
function halfSipHash13(secret: Uint8Array, bytes: Uint8Array): number {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (32n - by))) & mask;
  const word = (b: Uint8Array, at: number): bigint => BigInt(new DataView(b.buffer, b.byteOffset).getUint32(at, true));
  const k0 = word(secret, 0);
  const k1 = word(secret, 4);
  let [v0, v1, v2, v3] = [k0, k1, 0x6c796765n ^ k0, 0x74656462n ^ k1];
  const round = (): void => {
    v0 = (v0 + v1) & mask;
    v1 = rotate(v1, 5n) ^ v0;
    v0 = rotate(v0, 16n);
    v2 = (v2 + v3) & mask;
    v3 = rotate(v3, 8n) ^ v2;
    v0 = (v0 + v3) & mask;
    v3 = rotate(v3, 7n) ^ v0;
    v2 = (v2 + v1) & mask;
    v1 = rotate(v1, 13n) ^ v2;
    v2 = rotate(v2, 16n);
  };
  const padded = new Uint8Array((Math.floor(bytes.length / 4) + 1) * 4);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  for (let at = 0; at < padded.length; at += 4) {
    v3 ^= word(padded, at);
    round();
    v0 ^= word(padded, at);
  }
  v2 ^= 0xffn;
  for (let i = 0; i < 3; i++) round();
  return Number(v1 ^ v3);
}
