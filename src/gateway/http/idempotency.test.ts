import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, TestDoor } from '../../../test/http/door.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open();
});
afterAll(() => door.close());

let keys = 0;
const fresh = (): string => `key-${++keys}`;
const keyed = (key: string, method: string, path: string, body?: string): Promise<Answer> =>
  door.send(method, path, body, { 'idempotency-key': key });

describe('fields of an import', () => {
  it.each([
    ['POST', '/v1/counters/i/increment', '{"by":5}', 'tallyd-import-chunk'],
    ['PUT', '/v1/counters/i', '{"value":5}', 'tallyd-import-chunk'],
    ['POST', '/counter/increment?counter_id=i', '{"value":3}', 'tallyd-import-chunk'],
    ['PUT', '/v1/i/likes', '{"action":"increment"}', 'tallyd-import-chunk'],
    ['POST', '/v1/batch', '[{"name":"i"}]', 'tallyd-import-after'],
    ['POST', '/v1/batch', '[{"name":"i"}]', 'tallyd-import-places'],
  ])('are refused where they would be lost: %s %s %s %s', async (method, path, body, field) => {
    const { status, text } = await door.send(method, path, body, { [field]: 'an-id' });
    expect([status, JSON.parse(text).code]).toEqual([400, 'invalid_idempotency_key']);
    expect(JSON.parse(await door.text(200, 'GET', '/v1/counters/i'))).toMatchObject({ value: 0, exists: false });
  });
});

describe('a request with the key of an earlier one', () => {
  it.each([
    ['POST', '/v1/counters/k/increment', undefined],
    ['POST', '/v1/counters/k/increment?numbers=string', '{"by":5,"ttl":1000}'],
    ['POST', '/v1/counters/k/decrement', '{"by":5,"floor":-1000}'],
    ['PUT', '/v1/counters/k', '{"value":5}'],
    ['PUT', '/v1/counters/k/ttl', '{"ttl":50}'],
    ['DELETE', '/v1/counters/k', undefined],
    ['POST', '/counter/increment?counter_id=k', '{"value":3}'],
    ['POST', '/counter/decrement', '{"value":3,"counter_id":"k"}'],
    ['PUT', '/v1/k/likes', '{"action":"increment"}'],
    ['POST', '/v1/counters/k/increment', '{"by":9223372036854775807,"ceiling":3}'],
  ])('gets its answer again, and changes nothing: %s %s %s', async (method, path, body) => {
    await door.text(200, 'PUT', '/v1/counters/k', '{"value":100}');
    const key = fresh();
    const first = await keyed(key, method, path, body);
    const state = await door.text(200, 'GET', '/v1/counters?name=k&name=k:likes');
    await door.text(200, 'POST', '/v1/counters/unrelated/increment');
    for (let i = 0; i < 2; i++) {
      const again = await keyed(key, method, path, body);
      expect([again.status, again.text]).toEqual([first.status, first.text]);
      expect(again.headers['idempotency-replayed']).toBe('true');
    }
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(await door.text(200, 'GET', '/v1/counters?name=k&name=k:likes')).toBe(state);
  });

  it('gets it whether the key is in quotes or not', async () => {
    const key = fresh();
    await keyed(key, 'POST', '/v1/counters/quoted/increment');
    expect((await keyed(`"${key}"`, 'POST', '/v1/counters/quoted/increment')).headers['idempotency-replayed']).toBe(
      'true',
    );
  });

  it.each([
    ['POST', '/v1/counters/m/increment', '{"by":2}'],
    ['POST', '/v1/counters/m/increment', ' {"by":1}'],
    ['POST', '/v1/counters/n/increment', '{"by":1}'],
    ['POST', '/v1/counters/m/decrement', '{"by":1}'],
    ['POST', '/v1/counters/m/increment?numbers=string', '{"by":1}'],
    ['PUT', '/v1/counters/m', '{"value":1}'],
    ['DELETE', '/v1/counters/m', undefined],
  ])('is refused when it asks for something else: %s %s %s', async (method, path, body) => {
    const key = fresh();
    expect((await keyed(key, 'POST', '/v1/counters/m/increment', '{"by":1}')).status).toBe(200);
    const other = await keyed(key, method, path, body);
    expect(other.status).toBe(422);
    expect(JSON.parse(other.text).code).toBe('idempotency_mismatch');
  });

  it('is new when the earlier one was never understood', async () => {
    const key = fresh();
    expect((await keyed(key, 'POST', '/v1/counters/u/increment', '{"by":1.5}')).status).toBe(400);
    const answer = await keyed(key, 'POST', '/v1/counters/u/increment', '{"by":1}');
    expect(answer.text).toContain('"value":1');
    expect(answer.headers['idempotency-replayed']).toBeUndefined();
  });
});

it('a key that carries its time is judged by it', async () => {
  const at = (ms: number): string => {
    const hex = Math.floor(ms).toString(16).padStart(12, '0');
    return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(++keys).padStart(12, '0')}`;
  };
  const increment = async (key: string): Promise<string> =>
    JSON.parse((await keyed(key, 'POST', '/v1/counters/timed/increment')).text).code ?? 'done';
  expect(await increment(at(Date.now()))).toBe('done');
  expect(await increment(at(Date.now() + 3_600_000))).toBe('idempotency_from_future');
  expect(await increment(at(Date.now() - 100 * 3_600_000))).toBe('idempotency_expired');
  // From this the SDK learns how far its clock is off.
  const refused = await keyed(at(Date.now() + 3_600_000), 'POST', '/v1/counters/timed/increment');
  expect(Math.abs(JSON.parse(refused.text).now - Date.now())).toBeLessThan(60_000);
});

it('a read has no use for a key', async () => {
  const key = fresh();
  expect((await keyed(key, 'GET', '/v1/counters/r')).text).toContain('"value":0');
  await door.text(200, 'POST', '/v1/counters/r/increment');
  expect((await keyed(key, 'GET', '/v1/counters/r')).text).toContain('"value":1');
});
