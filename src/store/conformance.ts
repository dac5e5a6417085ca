/**
 * The checks that every slot store passes, on the real server. They need no test framework: each is a title and a
 * function that throws. A check uses names and replicas of its own, so that all of them can run on one store, together.
 */
import type { ConformanceCheck } from './conformance-bench.ts';
import { feedChecks } from './conformance-feed.ts';
import { stateChecks } from './conformance-state.ts';

export type { ConformanceBench, ConformanceCheck } from './conformance-bench.ts';

export const slotStoreChecks: readonly ConformanceCheck[] = [...stateChecks, ...feedChecks];
