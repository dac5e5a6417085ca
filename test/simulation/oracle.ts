/** What an oracle throws, and how a test shows that it would: only a complaint counts as one, no other error does. */

/** The oracle found a broken promise. Anything else that is thrown means that the simulation itself has failed. */
export class OracleComplaint extends Error {
  override readonly name = 'OracleComplaint';
}

/**
 * How many of the seeds it takes until the oracle complains. What another part notices first, such as a checksum, does
 * not count.
 * @throws the last error of another part if the oracle never complains.
 */
export async function seedsUntilComplaint(
  seeds: readonly number[],
  run: (seed: number) => Promise<unknown>,
): Promise<number> {
  let noticed: unknown = new Error(`nobody noticed anything with seeds ${seeds[0]} to ${seeds.at(-1)}`);
  for (const [tried, seed] of seeds.entries()) {
    try {
      await run(seed);
    } catch (error) {
      if (error instanceof OracleComplaint) return tried + 1;
      noticed = error;
    }
  }
  throw noticed;
}
