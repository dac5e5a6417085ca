import { describe, expect, it } from 'vitest';
import { principalOf } from './principal.ts';
import { Secret } from './secret.ts';

describe('a principal', () => {
  const secret = new Secret('open sesame');

  it.each([
    ['there is no secret', undefined, undefined, true],
    ['there is no secret, and one is shown', undefined, 'x', true],
    ['the secret is shown', secret, 'open sesame', true],
    ['nothing is shown', secret, undefined, false],
    ['another is shown', secret, 'open barley', false],
  ])('may do everything or nothing: %s', (_, asked, shown, mayAll) => {
    const principal = principalOf(asked, shown);
    expect([principal.mayAll, principal.may('increment', 'a'), principal.may('info')]).toEqual(Array(3).fill(mayAll));
  });
});
