import { describe, expect, it } from 'vitest';
import { Secret } from './secret.ts';

describe('Secret', () => {
  const secret = new Secret('pässword');

  it('matches itself, as string and as bytes', () => {
    expect(secret.matches('pässword')).toBe(true);
    expect(secret.matches(Buffer.from('pässword'))).toBe(true);
  });

  it.each(['', 'pässwor', 'pässword ', 'Pässword', 'password', 'x'.repeat(100_000)])('refuses %.12j', (candidate) => {
    expect(secret.matches(candidate)).toBe(false);
    expect(secret.matches(Buffer.from(candidate))).toBe(false);
  });

  it('takes bytes that are no UTF-8', () => {
    expect(secret.matches(Uint8Array.of(0xff, 0xfe))).toBe(false);
  });

  it('does not show the secret when it is printed', () => {
    expect(JSON.stringify(secret)).toBe('{}');
  });

  it('is never empty', () => {
    expect(() => new Secret('')).toThrow('an empty secret is no secret');
  });
});
