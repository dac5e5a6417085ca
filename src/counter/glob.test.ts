import { describe, expect, it } from 'vitest';
import { seed } from '../../test/seed.ts';
import { SeededRandom } from '../std/random.ts';
import { Glob } from './glob.ts';

function matches(pattern: string, text: string): boolean {
  const bytes = new TextEncoder().encode(`<${text}>`);
  return new Glob(pattern).matches(bytes, 1, bytes.length - 1);
}

describe('glob', () => {
  // The cases of Redis's documentation of KEYS, and the corners.
  it.each([
    ['h?llo', 'hello', true],
    ['h?llo', 'hllo', false],
    ['h*llo', 'hllo', true],
    ['h*llo', 'heeeello', true],
    ['h[ae]llo', 'hallo', true],
    ['h[ae]llo', 'hillo', false],
    ['h[^e]llo', 'hallo', true],
    ['h[^e]llo', 'hello', false],
    ['h[a-b]llo', 'hbllo', true],
    ['h[b-a]llo', 'hallo', true],
    ['h[a-b]llo', 'hcllo', false],
    ['h\\*llo', 'h*llo', true],
    ['h\\*llo', 'hxllo', false],
    ['[\\]]', ']', true],
    ['[a-]', '-', true],
    ['*', '', true],
    ['**', 'x', true],
    ['', '', true],
    ['', 'x', false],
    ['?', '', false],
    ['*:likes', 'post:42:likes', true],
    ['a*b*c', 'a__b__b__c', true],
    ['a*b*c', 'a__b__b__', false],
    ['[ab', 'a', true],
    ['\\', '\\', true],
    ['ü*', 'über', true],
  ])('%s on %s: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  it('takes no exponential time on many stars', () => {
    expect(matches(`${'a*'.repeat(40)}b`, 'a'.repeat(250))).toBe(false);
  });

  it('takes time by the length of the name, however long the pattern and its classes are', () => {
    const bytes = new TextEncoder().encode('b'.repeat(255));
    for (const pattern of [
      `*[${'b'.repeat(1000)}`,
      `${'*[bc]'.repeat(200)}x`,
      `*${'?'.repeat(255)}x`,
      `*${'b'.repeat(254)}a`,
    ]) {
      const glob = new Glob(pattern);
      const before = process.threadCpuUsage();
      for (let i = 0; i < 2_000; i++) glob.matches(bytes, 0, bytes.length);
      const { user, system } = process.threadCpuUsage(before);
      // The matcher that went back took seconds.
      expect((user + system) / 1000).toBeLessThan(200);
    }
  });

  it('is refused when it is longer than 1,024 bytes, and matches no name when it asks for more than 255', () => {
    expect(() => new Glob('ü'.repeat(513))).toThrow(expect.objectContaining({ code: 'invalid_pattern' }));
    expect(matches('?'.repeat(255), 'x'.repeat(255))).toBe(true);
    expect(matches(`*${'?'.repeat(256)}`, 'x'.repeat(255))).toBe(false);
  });

  it('agrees with a regular expression', () => {
    const random = new SeededRandom(seed);
    const pick = (from: readonly string[]): string => from[random.below(from.length)] ?? '';
    for (let i = 0; i < 3_000; i++) {
      const elements = Array.from({ length: random.below(16) }, () =>
        pick(['a', 'b', '*', '?', '[ab]', '[^a]', '[b-d]']),
      );
      const text = Array.from({ length: random.below(25) }, () => pick(['a', 'b', 'c'])).join('');
      const expression = elements.map((element) => ({ '*': '.*', '?': '.' })[element] ?? element).join('');
      expect(matches(elements.join(''), text), `${elements.join('')} on ${text}`).toBe(
        new RegExp(`^${expression}$`).test(text),
      );
    }
  });
});
