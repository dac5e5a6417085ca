// fast-check with the seed of the test file: its reports name the seed, which TALLYD_TEST_SEED gives again.

import fc from 'fast-check';
import { seed } from './seed.ts';

fc.configureGlobal({ seed });

export { fc };
