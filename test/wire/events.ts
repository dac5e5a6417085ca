// Events to import, and what they must add up to: real ones where the data set lies beside the checkout, otherwise
// made ones of the same kind (many names, few of them hot, also negative amounts).

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { SeededRandom } from '../../src/std/random.ts';

export interface Events {
  /** NDJSON, a newline behind each line. */
  readonly text: string;
  readonly lines: readonly string[];
  readonly sums: ReadonlyMap<string, bigint>;
  /** Of all amounts. */
  readonly total: bigint;
}

const FILE = fileURLToPath(new URL('../../../shared/data/source-lines.ndjson.gz', import.meta.url));

export function readEvents(seed: number): Events {
  const text = existsSync(FILE) ? gunzipSync(readFileSync(FILE)).toString() : madeUp(seed);
  const lines = text.trimEnd().split('\n');
  const sums = new Map<string, bigint>();
  let total = 0n;
  for (const line of lines) {
    // The amounts in either kind of events are small, so a plain parse is exact.
    const { name, by } = JSON.parse(line) as { name: string; by: number };
    sums.set(name, (sums.get(name) ?? 0n) + BigInt(by));
    total += BigInt(by);
  }
  return { text, lines, sums, total };
}

function madeUp(seed: number): string {
  const random = new SeededRandom(seed);
  let text = '';
  for (let i = 0; i < 42_000; i++) {
    const name = `src/${Math.floor(1_900 * random.fraction() ** 3)}.c`;
    const by = Math.floor(200 * random.fraction() ** 4) - random.below(10);
    text += `{"at":${1_237_714_200 + i},"name":"${name}","by":${by}}\n`;
  }
  return text;
}
