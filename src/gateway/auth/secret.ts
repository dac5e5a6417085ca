/**
 * The one secret that both doors require. A candidate is compared in constant time: both sides are hashed first, so the
 * time reveals neither the place of the first wrong byte nor the secret's length.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { assert } from '../../std/assert.ts';

export class Secret {
  // A new key per process, so that digests of guesses cannot be precomputed.
  readonly #key: Buffer = randomBytes(32);
  readonly #digest: Buffer;

  /** @param secret at least one character; strings are compared as UTF-8. */
  constructor(secret: string) {
    assert(secret.length > 0, 'an empty secret is no secret');
    this.#digest = this.#hash(secret);
  }

  /** Whether the candidate is the secret, in a time that depends only on the candidate's length. */
  matches(candidate: string | Uint8Array): boolean {
    return timingSafeEqual(this.#hash(candidate), this.#digest);
  }

  #hash(value: string | Uint8Array): Buffer {
    return createHmac('sha256', this.#key).update(value).digest();
  }
}
