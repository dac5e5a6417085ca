/** The `Random` port on the system's generator. */
import { randomBytes } from 'node:crypto';
import type { Random } from '../host.ts';

export class NodeRandom implements Random {
  bytes(length: number): Uint8Array {
    // A copy of its own: `randomBytes` may hand out a slice of a shared pool.
    return new Uint8Array(randomBytes(length));
  }
}
