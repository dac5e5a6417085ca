// Where chance comes from in tests. With CI=true every run is the same; elsewhere each test file draws a seed of its
// own, so that more is tried than one run can. A test that fails prints its seed, and TALLYD_TEST_SEED runs it again.

import { afterEach } from 'vitest';

const given = process.env['TALLYD_TEST_SEED'] ?? (process.env['CI'] === 'true' ? '0' : undefined);

/** The seed of this test file. */
export const seed = given === undefined ? Math.floor(Math.random() * 1_000_000) : Number(given);
if (!Number.isSafeInteger(seed)) throw new Error(`TALLYD_TEST_SEED is '${given}': set it to an integer`);

/** Seeds for as many independent runs. */
export function seeds(count: number): number[] {
  return Array.from({ length: count }, (_, i) => seed + 1 + i);
}

afterEach(({ task }) => {
  if (task.result?.state === 'fail')
    process.stderr.write(`'${task.name}' failed: repeat with TALLYD_TEST_SEED=${seed}\n`);
});
