import { describe, expect, it } from 'vitest';
import {
  broken,
  clientOf,
  done,
  failureOf,
  notConnected,
  problem,
  reply,
  scripted,
} from '../../test/client/scripted-fetch.ts';
import { UnknownOutcomeError } from './client.ts';

describe('a counter that many nodes share', () => {
  const noKeys = problem(501, 'needs_authority');

  it('takes an update without the key that only the client knows', async () => {
    const { fetch, sent } = scripted(noKeys, done);
    expect(await clientOf(fetch).increment('a')).toBe(5n);
    expect(sent.map(({ headers }) => 'idempotency-key' in headers)).toEqual([true, false]);
  });

  it('does not get the update twice when nobody knows whether it was counted', async () => {
    const { fetch, sent } = scripted(noKeys, broken());
    expect(await failureOf(clientOf(fetch).increment('a'))).toBeInstanceOf(UnknownOutcomeError);
    expect(sent).toHaveLength(2);
  });

  it('gets it again when it was certainly not counted', async () => {
    const { fetch, sent } = scripted(noKeys, notConnected(), problem(503, 'store_away'), done);
    expect(await clientOf(fetch).increment('a')).toBe(5n);
    expect(sent.map(({ headers }) => 'idempotency-key' in headers)).toEqual([true, false, false, false]);
  });

  it("refuses a caller's key, which means something to him", async () => {
    const { fetch, sent } = scripted(noKeys, done);
    const failure = await failureOf(clientOf(fetch).increment('a', 1, { idempotencyKey: 'k' }));
    expect([failure.code, sent.length]).toEqual(['needs_authority', 1]);
  });

  it('tells that an update counts when nobody can tell the count, and reads only whole counts', async () => {
    const part = { name: 'a', value: null, own: '7', applied: '1', exists: true };
    const { fetch } = scripted(reply(200, part), reply(200, { counters: [part] }));
    expect(await clientOf(fetch).adjust('a', 1)).toEqual({ value: 7n, isPartial: true, applied: 1n, replayed: false });
    expect((await failureOf(clientOf(fetch).get('a'))).code).toBe('store_away');
  });
});
