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

  it('is remembered to take no key, until an update without one has no known outcome', async () => {
    const { fetch, sent } = scripted(noKeys, done, done, broken(), noKeys, done);
    const client = clientOf(fetch);
    for (let i = 0; i < 2; i++) await client.increment('a');
    expect(await failureOf(client.increment('a'))).toBeInstanceOf(UnknownOutcomeError);
    await client.increment('a');
    expect(sent.map(({ headers }) => 'idempotency-key' in headers)).toEqual([true, false, false, false, true, false]);
  });

  it('counts once when a node went away before it could refuse the key', async () => {
    const { fetch, sent } = scripted(noKeys, done, broken(), noKeys, done);
    const client = clientOf(fetch);
    await client.increment('a');
    expect(await client.increment('b')).toBe(5n);
    expect(sent.map(({ headers }) => 'idempotency-key' in headers)).toEqual([true, false, true, true, false]);
  });

  it('may have counted before, when only since then it is known to be shared', async () => {
    // As when a server with this update under way ends, and is started again with a store, which imports its counts.
    const { fetch, sent } = scripted(broken(), noKeys, done);
    const client = clientOf(fetch);
    expect(await failureOf(client.increment('a'))).toBeInstanceOf(UnknownOutcomeError);
    expect(sent).toHaveLength(2);
    expect(await client.increment('a')).toBe(5n);
  });

  it('is read as its own updates have left it, whatever node answers', async () => {
    const counted = (token: string) => reply(200, { name: 'a', value: '5', applied: '1' }, { 'tallyd-session': token });
    const read = reply(200, { counters: [{ name: 'a', value: '5', exists: true }] });
    const [one, two] = [`${'1'.repeat(32)}.5`, `${'2'.repeat(32)}.9`];
    const { fetch, sent } = scripted(
      counted(one),
      counted(two),
      read,
      read,
      problem(400, 'invalid_session'),
      read,
      read,
    );
    const client = clientOf(fetch);
    await client.increment('a');
    await client.increment('a');
    await client.get('a');
    await client.get('b');
    await client.get('a');
    await client.get('a');
    const session = (at: number) => sent[at]?.headers['tallyd-session'];
    expect([2, 3, 4, 5, 6].map(session)).toEqual([`${one},${two}`, undefined, `${one},${two}`, undefined, undefined]);
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
    const { fetch } = scripted(reply(200, part), reply(200, part), reply(200, { counters: [part] }));
    expect(await clientOf(fetch).adjust('a', 1)).toEqual({ value: undefined, own: 7n, applied: 1n, replayed: false });
    expect(await clientOf(fetch).increment('a')).toBe(undefined);
    expect((await failureOf(clientOf(fetch).get('a'))).code).toBe('store_away');
  });
});
