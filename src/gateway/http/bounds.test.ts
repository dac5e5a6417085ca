// What a refusal by a bound tells, windows that do not move, and updates that apply nothing.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDoor } from '../../../test/http/door.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open();
});
afterAll(() => door.close());

let names = 0;
const fresh = (): string => `counter-${++names}`;
const MAX = '9223372036854775807';

async function post(path: string, body: object | readonly object[], headers = {}): Promise<Record<string, unknown>> {
  return JSON.parse((await door.send('POST', path, JSON.stringify(body), headers)).text) as Record<string, unknown>;
}

describe('a refusal by a bound', () => {
  it('tells the count and the time left', async () => {
    const path = `/v1/counters/${fresh()}/increment`;
    await post(path, { by: 7, ttl: 60 });
    const problem = await post(path, { by: 4, ceiling: 10 });
    expect(problem).toMatchObject({ code: 'above_ceiling', value: 7 });
    expect([59, 60]).toContain(problem['ttl']);
    expect(await post(`${path}?numbers=string`, { by: 4, ceiling: 10 })).toMatchObject({ value: '7' });
  });

  it('tells no time left where there is no deadline, and 0 of a counter that is absent', async () => {
    const path = `/v1/counters/${fresh()}/decrement`;
    const problem = await post(path, { floor: 0 });
    expect(problem).toMatchObject({ code: 'below_floor', value: 0 });
    expect(problem).not.toHaveProperty('ttl');
  });

  it('tells a count beyond 2^53 exactly', async () => {
    const path = `/v1/counters/${fresh()}/increment`;
    await post(path, { by: MAX });
    const { text } = await door.send('POST', path);
    expect(text).toContain('"code":"overflow"');
    expect(text).toContain(`,"value":${MAX}}`);
  });

  it('is told again, byte by byte, under the same key', async () => {
    const path = `/v1/counters/${fresh()}/increment`;
    await post(path, { by: 7, ttl: 60 });
    const key = { 'idempotency-key': `key-${path}` };
    const body = '{"by":4,"ceiling":10}';
    const first = await door.send('POST', path, body, key);
    await post(path, { by: 1 });
    const again = await door.send('POST', path, body, key);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.text).toBe(first.text);
  });

  it('tells it of an entry of a batch', async () => {
    const name = fresh();
    await post(`/v1/counters/${name}/increment`, { by: 7, ttl: 60 });
    const entries = [
      { name, by: 1, ceiling: 8 },
      { name, by: 1, ceiling: 8 },
      { name: fresh(), by: -1, floor: 0 },
    ];
    const { results } = (await post('/v1/batch', entries)) as { results: { error?: Record<string, unknown> }[] };
    expect(results[1]?.error).toEqual({
      code: 'above_ceiling',
      detail: expect.any(String),
      value: 8,
      ttl: expect.any(Number),
    });
    expect(results[2]?.error).toEqual({ code: 'below_floor', detail: expect.any(String), value: 0 });
    const asText = (await post('/v1/batch?numbers=string', entries)) as { results: { error?: unknown }[] };
    expect(asText.results[0]?.error).toMatchObject({ value: '8' });
  });

  it('tells of an atomic batch the count that stays, not the one in between', async () => {
    const name = fresh();
    await post(`/v1/counters/${name}/increment`, { by: 7 });
    const entries = [
      { name, by: 2, ttl: 60 },
      { name, by: 2, ceiling: 10 },
    ];
    const problem = await post('/v1/batch?atomic=true', entries);
    expect(problem).toMatchObject({ code: 'above_ceiling', index: 1, name, value: 7 });
    expect(problem).not.toHaveProperty('ttl');
    expect(await post(`/v1/batch?atomic=true&numbers=string`, entries)).toMatchObject({ value: '7' });
  });
});

describe('ttlIfNone', () => {
  const ttlOf = async (name: string): Promise<unknown> =>
    (JSON.parse(await door.text(200, 'GET', `/v1/counters/${name}/ttl`)) as { ttl: unknown }).ttl;

  it('begins a window that later updates do not move', async () => {
    const name = fresh();
    const path = `/v1/counters/${name}/increment`;
    await post(path, { ttl: 60, ttlIfNone: true });
    await post(path, { ttl: 600, ttlIfNone: true });
    await post('/v1/batch', [{ name, ttl: 600, ttlIfNone: true }]);
    expect([59, 60]).toContain(await ttlOf(name));
    await post(path, { ttl: 600, ttlIfNone: false });
    expect([599, 600]).toContain(await ttlOf(name));
    await door.text(200, 'PUT', `/v1/counters/${name}/ttl`, '{"ttl":null}');
    await post(path, { ttl: 60, ttlIfNone: true });
    expect([59, 60]).toContain(await ttlOf(name));
  });

  it('needs a ttl', async () => {
    const name = fresh();
    expect(await post(`/v1/counters/${name}/increment`, { ttlIfNone: true })).toMatchObject({
      code: 'invalid_deadline',
    });
    expect(await door.text(200, 'GET', `/v1/counters/${name}`)).toContain('"exists":false');
  });

  it('makes another request of an entry with an id', async () => {
    const name = fresh();
    const entry = { name, ttl: 60, id: `id-${name}` };
    await post('/v1/batch', [entry]);
    const again = (await post('/v1/batch', [entry, { ...entry, ttlIfNone: true }])) as { results: object[] };
    expect(again.results[0]).toMatchObject({ replayed: true });
    expect(again.results[1]).toMatchObject({ error: { code: 'idempotency_mismatch' } });
  });
});

describe('an update that applies nothing', () => {
  it('makes no counter of one that is absent, and is done', async () => {
    const name = fresh();
    const body = { by: 5, floor: 0, saturate: true, ttl: 60 };
    expect(await post(`/v1/counters/${name}/decrement`, body)).toEqual({ name, value: 0, applied: 0 });
    const { results } = (await post('/v1/batch', [{ name, by: -5, floor: 0, saturate: true }])) as {
      results: unknown[];
    };
    expect(results).toEqual([{ name, value: 0, applied: 0 }]);
    expect(await door.text(200, 'GET', `/v1/counters/${name}`)).toContain('"exists":false');
    expect(await door.text(200, 'GET', `/v1/counters?match=${name}`)).toContain('"counters":[]');
  });
});
