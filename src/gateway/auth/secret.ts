/**
 * The one secret that both doors ask for. What a caller sends is compared in constant time: both sides are
 * hashed first, so that neither the place of the first wrong byte nor the secret's length shows in the time.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { assert } from '../../std/assert.ts';

export class Secret {
  // A fresh key per process: digests of guesses cannot be computed ahead.
  readonly #key: Buffer = randomBytes(32);
  readonly #digest: Buffer;

  /** @param secret at least one character; strings are compared as UTF-8. */
  constructor(secret: string) {
    assert(secret.length > 0, 'an empty secret is no secret');
    this.#digest = this.#hash(secret);
  }

  /** Whether the candidate is the secret, in a time that depends on the candidate's length only. */
  matches(candidate: string | Uint8Array): boolean {
    return timingSafeEqual(this.#hash(candidate), this.#digest);
  }

  #hash(value: string | Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(value).digest();
  }
}
