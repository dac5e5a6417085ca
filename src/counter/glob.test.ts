import { describe, expect, it } from 'vitest';
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
});
