import { describe, expect, it } from 'vitest';
import { Memory } from './memory.ts';

const [A, B] = ['a'.repeat(32), 'b'.repeat(32)];

describe('what a client remembers', () => {
  it('is the newest token of each node, and that it made a cut', () => {
    const memory = new Memory();
    memory.keepToken(['x'], `${A}.5.cut`);
    memory.keepToken(['x'], `${B}.7`);
    memory.keepToken(['x'], `${A}.9`);
    memory.keepToken(['x'], `${A}.3`);
    expect(memory.tokenFor(['x'])?.split(',').sort()).toEqual([`${A}.9.cut`, `${B}.7`]);
    expect(memory.tokenFor(['y'])).toBe(undefined);
    memory.forgetTokens();
    expect(memory.tokenFor(['x'])).toBe(undefined);
  });

  it('is bounded, in counters and in nodes', () => {
    const memory = new Memory();
    for (let i = 0; i < 40; i++) memory.keepToken(['x'], `${i.toString(16).padStart(32, '0')}.1`);
    expect(memory.tokenFor(['x'])?.split(',')).toHaveLength(16);
    memory.keepToken(['first'], `${A}.1`);
    for (let i = 0; i < 10_000; i++) memory.keepToken([`n${i}`], `${A}.1`);
    expect([memory.tokenFor(['first']), memory.tokenFor(['n9999'])]).toEqual([undefined, `${A}.1`]);
    const all = Array.from({ length: 100 }, (_, i) => `n${9_000 + i}`);
    expect(memory.tokenFor(all)).toBe(`${A}.1`);
  });
});
