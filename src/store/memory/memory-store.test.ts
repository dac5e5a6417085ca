import { randomBytes } from 'node:crypto';
import { describe, it } from 'vitest';
import { type ConformanceBench, slotStoreChecks } from '../conformance.ts';
import { StoreError } from '../slot-store.ts';
import { MemoryStore } from './memory-store.ts';

const unreachable = (): Promise<never> => Promise.reject(new StoreError('no store there'));

describe.each([true, false])('a store in memory, durable: %s', (durable) => {
  const shared = new MemoryStore({ id: 'conformance', durable });
  const bench: ConformanceBench = {
    connect: async () => shared.connect(),
    connectToNothing: async () => shared.connect(unreachable),
    randomId: () => randomBytes(16).toString('hex'),
  };
  it.each(slotStoreChecks)('$title', ({ run }) => run(bench));
});
