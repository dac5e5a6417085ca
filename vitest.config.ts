// Two projects, one after the other: tests inside one process first, then those that start real processes
// (servers, redis-cli, strace). The latter use several cores each, so few of them run side by side.
import { defineConfig } from 'vitest/config';

const endurance = process.env['TALLYD_CHAOS_MINUTES'] === undefined ? [] : ['test/chaos/endurance.ts'];
const processes = ['test/wire/**/*.test.ts', 'test/chaos/**/*.test.ts', ...endurance];
const patience = { testTimeout: 60_000, hookTimeout: 60_000, teardownTimeout: 20_000 };

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'inside',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: processes,
          sequence: { groupOrder: 0 },
          ...patience,
        },
      },
      {
        test: { name: 'processes', include: processes, maxWorkers: 2, sequence: { groupOrder: 1 }, ...patience },
      },
    ],
  },
});
