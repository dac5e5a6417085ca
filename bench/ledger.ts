/**
 * The check that every benchmark ends with: the sum of what is stored must be the sum of what was acknowledged.
 * A fast wrong counter is worth nothing, so a difference fails the whole run.
 */
import { withClient } from './control.ts';
import { indexOf } from './load/stream.ts';

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
    let [cursor, page] = (await ask('SCAN', '0', 'COUNT', String(PAGE_NAMES))) as ScanReply;
    for (let isLast = false; !isLast; ) {
      isLast = cursor === '0';
      const fresh = page.filter((name) => takeFirst(seen, name));
      counters += fresh.length;
      const values = fresh.length === 0 ? [] : (ask('MGET', ...fresh) as Promise<MgetReply>);
      // The server looks for the next names while the values of these are summed here.
      const following = isLast ? undefined : (ask('SCAN', cursor, 'COUNT', String(PAGE_NAMES)) as Promise<ScanReply>);
      sum += sumOf(await values);
      if (following !== undefined) [cursor, page] = await following;
    }
    return { counters, sum };
  });
}

type ScanReply = [cursor: string, names: string[]];
type MgetReply = (string | null)[];

/** Whether the name comes for the first time. */
function takeFirst(seen: Uint8Array, name: string): boolean {
  const index = indexOf(name);
  if (index === undefined || index >= seen.length) throw new Error(`a counter that nobody made: ${name}`);
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
