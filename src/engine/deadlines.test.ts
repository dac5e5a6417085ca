import { expect, it } from 'vitest';
import { Deadlines } from './deadlines.ts';

it('remembers a deadline for any record number, and sweeps through all of them', () => {
  const deadlines = new Deadlines();
  const refs = [1, 2, 65_535, 65_536, 1_000_000, 2 ** 31 - 1];
  for (const ref of refs) deadlines.set(ref, ref % 2);
  deadlines.set(2, 5);
  expect(deadlines.size).toBe(refs.length);
  expect(refs.map((ref) => deadlines.get(ref))).toEqual([1, 5, 1, 0, 0, 1]);
  deadlines.clear(1_000_000);
  deadlines.clear(1_000_001);
  expect(deadlines.size).toBe(refs.length - 1);
  const found: number[] = [];
  const rounds = 2 ** 31 / 2 ** 16;
  for (let i = 0; i < rounds; i++) {
    deadlines.sweep(2, 1, (ref) => {
      deadlines.clear(ref);
      found.push(ref);
    });
  }
  expect(found.sort((a, b) => a - b)).toEqual([1, 65_535, 65_536, 2 ** 31 - 1]);
  expect(deadlines.size).toBe(1);
});
