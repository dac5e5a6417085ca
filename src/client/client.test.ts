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
import { type Fetch, RefusedError, TallydClient, UnknownOutcomeError } from './client.ts';

describe('an update', () => {
  it('carries an amount as text, a fresh UUIDv7 and the secret', async () => {
    const { fetch, sent } = scripted(done);
    const client = clientOf(fetch, { url: 'http://test/below/', secret: 'open-sesame' });
    const beforeMs = Date.now();
    const { value, applied, replayed } = await client.adjust('a/b é', -(2n ** 63n), { floor: 0, saturate: true });
    expect([value, applied, replayed]).toEqual([5n, 1n, false]);
    expect(await client.decrement('a')).toBe(5n);
    expect(sent[1]?.url).toContain('/decrement?');
    expect(sent[0]?.url).toBe('http://test/below/v1/counters/a%2Fb%20%C3%A9/increment?numbers=string');
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({ by: '-9223372036854775808', floor: '0', saturate: true });
    expect(sent[0]?.headers).toMatchObject({ authorization: 'Bearer open-sesame', 'content-type': 'application/json' });
    const keys = sent.map(({ headers }) => headers['idempotency-key'] ?? '');
    expect(new Set(keys).size).toBe(2);
    for (const key of keys) {
      expect(key).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      const bornMs = Number.parseInt(key.replace('-', '').slice(0, 12), 16);
      expect(bornMs).toBeGreaterThanOrEqual(beforeMs);
      expect(bornMs).toBeLessThanOrEqual(Date.now());
    }
  });

  it('is retried under one key after a broken connection, and is done when an answer comes', async () => {
    const { fetch, sent } = scripted(broken(), problem(500, 'idempotency_unsettled'), done);
    await clientOf(fetch).increment('a');
    expect(sent.length).toBe(3);
    expect(new Set(sent.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  });

  it('tells when it was an earlier attempt that counted', async () => {
    const { fetch } = scripted(broken(), reply(200, { value: '5', applied: '1' }, { 'idempotency-replayed': 'true' }));
    expect((await clientOf(fetch).adjust('a', 1)).replayed).toBe(true);
  });

  it('is unknown, with its key, when the connection breaks until the time limit', async () => {
    const { fetch, sent } = scripted(broken());
    const error = await failureOf(clientOf(fetch).increment('a'));
    expect(error).toBeInstanceOf(UnknownOutcomeError);
    expect((error as UnknownOutcomeError).key).toBe(sent[0]?.headers['idempotency-key']);
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(sent.length).toBeGreaterThan(1);
  });

  it('is refused as unreachable when no attempt ever connected', async () => {
    const error = await failureOf(clientOf(scripted(notConnected()).fetch).increment('a'));
    expect(error).toBeInstanceOf(RefusedError);
    expect(error.code).toBe('unreachable');
  });

  it('is unknown when one attempt may have been sent before nobody could be reached', async () => {
    const error = await failureOf(clientOf(scripted(broken(), notConnected()).fetch).increment('a'));
    expect(error).toBeInstanceOf(UnknownOutcomeError);
  });

  it('is unknown when an earlier attempt may be counted and the retry is turned away at the door', async () => {
    const error = await failureOf(clientOf(scripted(broken(), problem(401, 'wrong_secret')).fetch).increment('a'));
    expect(error).toBeInstanceOf(UnknownOutcomeError);
    expect(error.code).toBe('wrong_secret');
  });

  it('is refused when the retry is refused behind the lookup of the key', async () => {
    const error = await failureOf(clientOf(scripted(broken(), problem(409, 'below_floor')).fetch).increment('a'));
    expect(error).toBeInstanceOf(RefusedError);
  });

  it.each(['overflow', 'invalid_name', 'unauthorized', 'idempotency_mismatch'])(
    'is not retried after %s',
    async (code) => {
      const { fetch, sent } = scripted(problem(400, code));
      const error = (await failureOf(clientOf(fetch).increment('a'))) as RefusedError;
      expect([error.name, error.code, error.detail, error.status]).toEqual([
        'RefusedError',
        code,
        `about ${code}`,
        400,
      ]);
      expect(sent.length).toBe(1);
    },
  );

  it.each([
    [503, 'unavailable'],
    [503, 'shutting_down'],
    [429, 'overloaded'],
    [429, 'idempotency_full'],
    [408, 'request_timeout'],
  ])('is retried after %i %s, and refused when that lasts', async (status, code) => {
    const { fetch, sent } = scripted(problem(status, code));
    const error = await failureOf(clientOf(fetch).increment('a'));
    expect([error.name, error.code]).toEqual(['RefusedError', code]);
    expect(sent.length).toBeGreaterThan(1);
  });

  it.each(['outcome_unknown', 'timeout', 'internal', 'idempotency_unsettled'])(
    'is retried after %s, and unknown when that lasts',
    async (code) => {
      const { fetch, sent } = scripted(problem(500, code));
      const error = await failureOf(clientOf(fetch).increment('a'));
      expect([error.name, error.code]).toEqual(['UnknownOutcomeError', code]);
      expect(sent.length).toBeGreaterThan(1);
    },
  );

  it('does not come back when Retry-After lies behind the time limit', async () => {
    const { fetch, sent } = scripted(problem(429, 'overloaded', { 'retry-after': '1' }), done);
    const error = (await failureOf(clientOf(fetch).increment('a'))) as RefusedError;
    expect([error.code, error.retryAfterMs, sent.length]).toEqual(['overloaded', 1_000, 1]);
  });

  it('is unknown when a proxy says 502, refused when it says 404', async () => {
    expect((await failureOf(clientOf(scripted(reply(502, '<html>')).fetch).increment('a'))).name).toBe(
      'UnknownOutcomeError',
    );
    const error = await failureOf(clientOf(scripted(reply(404, '<html>')).fetch).increment('a'));
    expect([error.name, error.code]).toEqual(['RefusedError', 'http_404']);
  });

  it('is unknown after a code of a newer server that says so', async () => {
    const answer = reply(500, { code: 'split_brain', outcome: 'unknown', detail: 'who knows' });
    const error = await failureOf(clientOf(scripted(answer).fetch).increment('a'));
    expect([error.name, error.code]).toEqual(['UnknownOutcomeError', 'split_brain']);
  });

  it('does not follow a redirect', async () => {
    const { fetch, sent } = scripted(reply(301, '', { location: 'https://test/' }));
    const error = await failureOf(clientOf(fetch).increment('a'));
    expect([error.name, error.code]).toEqual(['RefusedError', 'redirected']);
    expect(sent[0]?.redirect).toBe('manual');
  });

  it.each([['{"value":"5"}'], ['{"value":9007199254740993,"applied":1}'], ['[]'], ['<html>'], ['{"value":"5.5"}']])(
    'is unknown when the answer is %s',
    async (text) => {
      const error = await failureOf(clientOf(scripted(reply(200, text)).fetch).increment('a'));
      expect([error.name, error.code]).toEqual(['UnknownOutcomeError', 'bad_answer']);
    },
  );

  it.each([1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY, '1', null, true])(
    'with an amount of %s is a TypeError and sends nothing',
    async (by) => {
      const { fetch, sent } = scripted(done);
      await expect(clientOf(fetch).increment('a', by as number)).rejects.toThrow(TypeError);
      await expect(clientOf(fetch).set('a', by as number)).rejects.toThrow(TypeError);
      await expect(clientOf(fetch).batch([{ name: 'a', by: by as number }])).rejects.toThrow(TypeError);
      expect(sent).toEqual([]);
    },
  );

  it('with a name that nobody can have is refused and sends nothing', async () => {
    const { fetch, sent } = scripted(done);
    for (const name of ['', '\ud800', 'é'.repeat(128)]) {
      expect((await failureOf(clientOf(fetch).increment(name))).code).toBe('invalid_name');
    }
    expect(sent).toEqual([]);
  });

  it('of the counter ".." goes through the batch, for no URL path can carry that name', async () => {
    const results = [{ name: '..', value: '-3', applied: '-3' }];
    const { fetch, sent } = scripted(reply(200, { results, refused: 0 }));
    expect(await clientOf(fetch).decrement('..', 3)).toBe(-3n);
    expect(sent[0]?.url).toBe('http://test/v1/batch?numbers=string');
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({ name: '..', by: '-3' });
  });

  it('with the key of an earlier call stays unknown when the server has forgotten that key', async () => {
    const expired = problem(409, 'idempotency_expired');
    expect((await failureOf(clientOf(scripted(expired).fetch).increment('a', 1, { idempotencyKey: 'k' }))).name).toBe(
      'UnknownOutcomeError',
    );
    const fresh = await failureOf(clientOf(scripted(expired).fetch).increment('a'));
    expect([fresh.name, fresh.message]).toEqual(['RefusedError', expect.stringContaining('clock')]);
  });

  it('refuses keys, secrets, addresses and time limits that cannot work', async () => {
    const client = clientOf(scripted(done).fetch);
    for (const idempotencyKey of ['', 'a\nb', 'é', ' a', 'x'.repeat(256)]) {
      await expect(client.increment('a', 1, { idempotencyKey })).rejects.toThrow(TypeError);
    }
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      await expect(client.get('a', { timeoutMs })).rejects.toThrow(TypeError);
    }
    for (const ttlSeconds of [0, -1, 1.5, Number.NaN]) {
      await expect(client.expire('a', ttlSeconds)).rejects.toThrow(TypeError);
    }
    for (const secret of ['', 'a\n', 'é', ' a', 'a b']) expect(() => new TallydClient({ secret })).toThrow(TypeError);
    for (const url of ['', 'localhost:7070', 'ftp://a', 'http://u:p@a', 'http://a/?b']) {
      expect(() => new TallydClient({ url })).toThrow(TypeError);
    }
  });
});

describe("the caller's signal", () => {
  it('refuses what was not sent yet', async () => {
    const { fetch, sent } = scripted(done);
    const error = await failureOf(clientOf(fetch).increment('a', 1, { signal: AbortSignal.abort('enough') }));
    expect([error.name, error.code, error.cause, sent.length]).toEqual(['RefusedError', 'aborted', 'enough', 0]);
  });

  it('leaves an update under way unknown, and ends a wait between attempts', async () => {
    const controller = new AbortController();
    const { fetch } = scripted(() => {
      controller.abort(new Error('enough'));
      return problem(503, 'unavailable', { 'retry-after': '20' });
    });
    const client = clientOf(fetch, { timeoutMs: 60_000 });
    const waiting = await failureOf(client.increment('a', 1, { signal: controller.signal }));
    expect([waiting.name, waiting.code]).toEqual(['RefusedError', 'aborted']);

    const hanging = new AbortController();
    const forEver: Fetch = (_, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    setTimeout(() => hanging.abort(), 10);
    const call = clientOf(forEver, { timeoutMs: 60_000 }).increment('a', 1, { signal: hanging.signal });
    const { name, code } = await failureOf(call);
    expect([name, code]).toEqual(['UnknownOutcomeError', 'aborted']);
  });
});

describe('a read', () => {
  it('is never unknown', async () => {
    for (const answer of [broken(), problem(500, 'internal'), reply(200, '<html>'), problem(504, 'timeout')]) {
      expect((await failureOf(clientOf(scripted(answer).fetch).get('a'))).name).toBe('RefusedError');
    }
  });

  it('sends no key and asks for exact numbers', async () => {
    const counters = [{ name: 'a', value: '9223372036854775807', exists: true }];
    const { fetch, sent } = scripted(reply(200, { counters }));
    expect(await clientOf(fetch).get('a&b')).toBe(2n ** 63n - 1n);
    expect(sent[0]?.url).toBe('http://test/v1/counters?name=a%26b&numbers=string');
    expect(sent[0]?.headers).not.toHaveProperty('idempotency-key');
  });

  it('of many names stays below the length of a URL that servers take, and keeps the order', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `${'é'.repeat(100)}:${i}`);
    const sent: string[] = [];
    const fetch: Fetch = async (url) => {
      sent.push(url);
      const asked = new URL(url).searchParams.getAll('name');
      return reply(200, { counters: asked.map((name) => ({ name, value: '1', exists: true })) });
    };
    const readings = await clientOf(fetch).read(names);
    expect(readings.map(({ name }) => name)).toEqual(names);
    expect(sent.length).toBeGreaterThan(1);
    for (const url of sent) expect(url.length).toBeLessThan(8_000);
  });

  it('of a listing follows the cursor to its end', async () => {
    const page = (names: string[], cursor: string | null) =>
      reply(200, { counters: names.map((name) => ({ name, value: '1', exists: true })), cursor });
    const { fetch, sent } = scripted(page(['a', 'b'], '7'), page([], '9'), page(['c'], null));
    const seen: string[] = [];
    for await (const { name } of clientOf(fetch).list({ match: '*&', pageSize: 2 })) seen.push(name);
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(sent.map(({ url }) => new URL(url).searchParams.get('cursor'))).toEqual([null, '7', '9']);
    expect(new URL(sent[0]?.url ?? '').searchParams.get('match')).toBe('*&');
  });
});

describe('a batch', () => {
  it('gives each update its outcome', async () => {
    const results = [
      { name: 'a', value: '1', applied: '1' },
      { name: 'b', error: { code: 'below_floor', detail: 'too low' } },
      { name: 'c', error: { code: 'idempotency_expired' } },
    ];
    const { fetch, sent } = scripted(reply(200, { results, refused: 2 }));
    const updates = [{ name: 'a' }, { name: 'b', by: -5n, floor: 0n }, { name: 'c', id: 'event-1', at: 1_237_714_200 }];
    const { outcomes } = await clientOf(fetch).batch(updates);
    expect(outcomes).toEqual([
      { outcome: 'done', name: 'a', value: 1n, applied: 1n, replayed: false },
      { outcome: 'refused', name: 'b', code: 'below_floor', detail: 'too low' },
      { outcome: 'unknown', name: 'c', code: 'idempotency_expired', detail: 'idempotency_expired' },
    ]);
    expect(sent[0]?.headers['content-type']).toBe('application/x-ndjson');
    expect(sent[0]?.body).toBe(
      '{"name":"a"}\n{"name":"b","by":"-5","floor":"0"}\n{"name":"c","id":"event-1","at":1237714200}\n',
    );
  });

  it('and a single update tell the count and the time left with a refusal by a bound', async () => {
    const error = { code: 'above_ceiling', detail: 'full', value: '9223372036854775807', ttl: 60 };
    const { fetch } = scripted(
      reply(200, { results: [{ name: 'a', error }], refused: 1 }),
      problem(409, 'above_ceiling', {}, { value: '9223372036854775807', ttl: 60 }),
    );
    const { outcomes } = await clientOf(fetch).batch([{ name: 'a' }]);
    expect(outcomes[0]).toMatchObject({ outcome: 'refused', value: 2n ** 63n - 1n, ttlSeconds: 60 });
    const refused = (await failureOf(clientOf(fetch).increment('a'))) as RefusedError;
    expect([refused.value, refused.ttlSeconds]).toEqual([2n ** 63n - 1n, 60]);
  });

  it('and a single update carry ttlIfNone', async () => {
    const { fetch, sent } = scripted(done, reply(200, { results: [{ name: 'b', value: '1', applied: '1' }] }));
    await clientOf(fetch).increment('a', 1, { ttlSeconds: 60, ttlIfNone: true });
    await clientOf(fetch).batch([{ name: 'b', ttlSeconds: 60, ttlIfNone: true }]);
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({ by: '1', ttl: 60, ttlIfNone: true });
    expect(JSON.parse(sent[1]?.body ?? '')).toEqual({ name: 'b', ttl: 60, ttlIfNone: true });
  });

  it('that is atomic throws the refusal with the position of the culprit', async () => {
    const { fetch, sent } = scripted(problem(409, 'below_floor', {}, { index: 1 }));
    const error = (await failureOf(clientOf(fetch).batch([{ name: 'a' }], { atomic: true }))) as RefusedError;
    expect([error.code, error.index]).toEqual(['below_floor', 1]);
    expect([error.value, error.ttlSeconds]).toEqual([undefined, undefined]);
    expect(new URL(sent[0]?.url ?? '').searchParams.get('atomic')).toBe('true');
  });

  it('whose entries are all refused because the journal cannot be written is retried', async () => {
    const error = { code: 'unavailable', detail: 'later' };
    const results = [
      { name: 'a', error },
      { name: 'b', error },
    ];
    const done = {
      results: [
        { value: '1', applied: '1' },
        { value: '2', applied: '2' },
      ],
    };
    const updates = [{ name: 'a' }, { name: 'b' }];
    const { fetch, sent } = scripted(reply(200, { results, refused: 2 }), reply(200, done));
    expect((await clientOf(fetch).batch(updates)).outcomes.map(({ outcome }) => outcome)).toEqual(['done', 'done']);
    expect(sent[0]?.headers['idempotency-key']).toBe(sent[1]?.headers['idempotency-key']);
    const lasting = await failureOf(clientOf(scripted(reply(200, { results })).fetch).batch(updates));
    expect([lasting.name, lasting.code]).toEqual(['RefusedError', 'unavailable']);
  });

  it('as a chunk of an import goes under its id instead of a key', async () => {
    const { fetch, sent } = scripted(reply(200, { results: [], refused: 0, replayed: true }));
    expect((await clientOf(fetch).importChunk('abc', [{ name: 'a' }])).replayed).toBe(true);
    expect(sent[0]?.headers).toMatchObject({ 'tallyd-import-chunk': 'abc' });
    expect(sent[0]?.headers).not.toHaveProperty('idempotency-key');
  });

  it('without updates asks nobody', async () => {
    const { fetch, sent } = scripted(done);
    expect(await clientOf(fetch).batch([])).toEqual({ outcomes: [], replayed: false });
    expect(sent).toEqual([]);
  });
});

describe('options', () => {
  const { fetch, sent } = scripted(done);
  const client = clientOf(fetch);
  const wrong = (options: object): never => options as never;

  it('that do not exist are refused, and nothing is sent', async () => {
    expect(() => new TallydClient(wrong({ uri: 'http://x' }))).toThrow(/unknown option 'uri'; there are url, secret/);
    expect(() => new TallydClient('http://x' as never)).toThrow(/options are an object with url/);
    await expect(client.increment('a', 1, wrong({ ttlMs: 5 }))).rejects.toThrow(/unknown option 'ttlMs'.*ttlSeconds/);
    await expect(client.decrement('a', 1, wrong({ flor: 0 }))).rejects.toThrow(/unknown option 'flor'/);
    await expect(client.set('a', 1, wrong({ floor: 0 }))).rejects.toThrow(/unknown option 'floor'/);
    await expect(client.batch([wrong({ name: 'a', amount: 2 })])).rejects.toThrow(/unknown option 'amount'/);
    await expect(client.get('a', wrong({ idempotencyKey: 'k' }))).rejects.toThrow(/unknown option 'idempotencyKey'/);
    await expect(client.list(wrong({ pattern: 'a*' })).next()).rejects.toThrow(/unknown option 'pattern'/);
    expect(sent).toEqual([]);
  });
});

describe('a clock that is wrong', () => {
  it('is learned from the refusal of a fresh key, once, and used from then on', async () => {
    const now = Date.now() - 7_200_000;
    const { fetch, sent } = scripted(problem(400, 'idempotency_from_future', {}, { now }), done, done);
    const client = clientOf(fetch);
    await client.increment('a');
    await client.increment('a');
    const births = sent.map(({ headers }) =>
      Number.parseInt((headers['idempotency-key'] ?? '').replace('-', '').slice(0, 12), 16),
    );
    expect(births.map((birth) => Math.round((birth - now) / 60_000))).toEqual([120, 0, 0]);
    expect(new Set(sent.map(({ headers }) => headers['idempotency-key'])).size).toBe(3);
  });

  it("is no reason to go on when an attempt before may have counted, or the key is the caller's", async () => {
    const refusal = problem(409, 'idempotency_expired', {}, { now: 5 });
    const after = scripted(broken(), refusal, done);
    expect(await failureOf(clientOf(after.fetch).increment('a'))).toBeInstanceOf(UnknownOutcomeError);
    const own = scripted(refusal, done);
    expect(await failureOf(clientOf(own.fetch).increment('a', 1, { idempotencyKey: 'k' }))).toBeInstanceOf(
      UnknownOutcomeError,
    );
    const again = scripted(refusal, refusal, done);
    expect((await failureOf(clientOf(again.fetch).increment('a'))).code).toBe('idempotency_expired');
  });
});
