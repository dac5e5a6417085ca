/**
 * The check that every benchmark ends with: the sum of what is stored must be the sum of what was acknowledged.
 * A fast wrong counter is worth nothing, so a difference fails the whole run.
 */
import { withClient } from './control.ts';
import { NAME_PREFIX, nameOf } from './load/stream.ts';

const PAGE_NAMES = 10_000;
/** Values of so many digits, or ten thousand of them together, are exact in a double, and much faster there. */
const SAFE_DIGITS = 11;

export class SumMismatch extends Error {
  override readonly name = 'SumMismatch';

  constructor(server: string, acknowledged: bigint, stored: bigint) {
    const difference = stored - acknowledged;
    const verdict = difference < 0n ? `${-difference} lost` : `${difference} too many`;
    super(`WRONG SUM: ${server} acknowledged ${acknowledged} and stores ${stored}: ${verdict}`);
  }
}

export interface Stored {
  readonly counters: number;
  readonly sum: bigint;
}

/** @throws SumMismatch */
export function compareSums(server: string, acknowledged: bigint, stored: bigint): void {
  if (stored !== acknowledged) throw new SumMismatch(server, acknowledged, stored);
}

/**
 * Reads every counter of a server that nobody writes to, by SCAN and MGET.
 * @param names the counters there may be: `nameOf(0)` to `nameOf(names - 1)`; any other is an error
 */
export function readStored(port: number, names: number): Promise<Stored> {
  return withClient(port, async (ask) => {
    // While Redis grows its table, SCAN may return a name twice.
    const seen = new Uint8Array(names);
    let counters = 0;
    let sum = 0n;
    let cursor = '0';
    do {
      const [next, page] = (await ask('SCAN', cursor, 'COUNT', String(PAGE_NAMES))) as ScanReply;
      cursor = next;
      const fresh = page.filter((name) => takeFirst(seen, name));
      if (fresh.length === 0) continue;
      counters += fresh.length;
      sum += sumOf((await ask('MGET', ...fresh)) as MgetReply);
    } while (cursor !== '0');
    return { counters, sum };
  });
}

type ScanReply = [cursor: string, names: string[]];
type MgetReply = (string | null)[];

/** Whether the name comes for the first time. */
function takeFirst(seen: Uint8Array, name: string): boolean {
  const index = name.startsWith(NAME_PREFIX) ? Number(name.slice(NAME_PREFIX.length)) : Number.NaN;
  if (!(index < seen.length) || nameOf(index) !== name) throw new Error(`a counter that nobody made: ${name}`);
  if (seen[index] === 1) return false;
  seen[index] = 1;
  return true;
}

function sumOf(values: MgetReply): bigint {
  let large = 0n;
  let small = 0;
  for (const value of values) {
    if (value === null) throw new Error('SCAN returned a counter that MGET does not know');
    if (value.length <= SAFE_DIGITS) small += Number(value);
    else large += BigInt(value);
    if (!Number.isSafeInteger(small)) throw new Error('a page of small values has a small sum');
  }
  return large + BigInt(small);
}
