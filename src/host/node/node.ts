/** The ports implemented on Node. */
import type { Host } from '../host.ts';
import { NodeClock } from './clock.ts';
import { NodeRandom } from './random.ts';

export function nodeHost(): Host {
  return { clock: new NodeClock(), random: new NodeRandom() };
}
