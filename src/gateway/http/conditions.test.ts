// `If-Match` and `If-None-Match` of updates.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeldService, TestDoor } from '../../../test/http/door.ts';
import { Flag } from '../../counter/chunk.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open();
});
afterAll(() => door.close());

let names = 0;
/** The path of a counter of its own, with this count if one is given. */
async function counter(value?: string): Promise<string> {
  const path = `/v1/counters/conditional-${++names}`;
  if (value !== undefined) await door.text(200, 'PUT', path, `{"value":${value}}`);
  return path;
}

const tagOf = async (path: string): Promise<string> => (await door.send('GET', path)).headers.etag ?? '';
const MIN = '-9223372036854775808';

describe('the conditions of an update', () => {
  it('refuse what they do not hold for, change nothing, and say the count', async () => {
    const path = await counter('5');
    const updates: [string, string, string?][] = [
      ['PUT', path, '{"value":9}'],
      ['DELETE', path],
      ['POST', `${path}/increment`],
      ['POST', `${path}/decrement`, '{"by":2}'],
    ];
    for (const [method, url, body] of updates) {
      for (const headers of [
        { 'if-match': '"4"' },
        { 'if-match': '"absent", "6"' },
        { 'if-match': 'W/"5"' },
        { 'if-match': '"of-another-server"' },
        { 'if-none-match': '*' },
        { 'if-none-match': '"5"' },
        { 'if-none-match': '"4", W/"5"' },
      ] as Record<string, string>[]) {
        const answer = await door.send(method, url, body, headers);
        expect([JSON.stringify(headers), answer.status]).toEqual([JSON.stringify(headers), 412]);
        expect(JSON.parse(answer.text)).toMatchObject({ code: 'precondition_failed', outcome: 'refused', value: 5 });
      }
    }
    expect(await door.text(200, 'GET', path)).toContain('"value":5,"exists":true');
  });

  it('hold for a counter as it is', async () => {
    const path = await counter('5');
    await door.text(200, 'PUT', path, '{"value":6}', { 'if-match': await tagOf(path) });
    await door.text(200, 'POST', `${path}/increment`, '{"by":2}', { 'if-match': '"1", "6"' });
    await door.text(200, 'POST', `${path}/decrement`, undefined, { 'if-none-match': '"6"' });
    await door.text(200, 'PUT', path, `{"value":${MIN}}`, { 'if-match': '*' });
    expect(await tagOf(path)).toBe(`"${MIN}"`);
    await door.text(200, 'DELETE', path, undefined, { 'if-match': `"${MIN}"` });
    expect(await tagOf(path)).toBe('"absent"');
  });

  it('create only, or change only what exists', async () => {
    const path = await counter();
    expect(await door.code('PUT', path, '{"value":1}', { 'if-match': '*' })).toBe('precondition_failed');
    expect(await door.code('DELETE', path, undefined, { 'if-match': '*' })).toBe('precondition_failed');
    expect(await door.code('PUT', path, '{"value":1}', { 'if-match': '"0"' })).toBe('precondition_failed');
    expect(await tagOf(path)).toBe('"absent"');
    expect(await door.text(200, 'DELETE', path, undefined, { 'if-none-match': '*' })).toContain('"deleted":false');
    await door.text(200, 'PUT', path, '{"value":1}', { 'if-none-match': '*' });
    expect(await door.code('PUT', path, '{"value":2}', { 'if-none-match': '*' })).toBe('precondition_failed');
    const other = await counter();
    await door.text(200, 'PUT', other, '{"value":1}', { 'if-match': await tagOf(other) });
  });

  it('let one of two writers through', async () => {
    const path = await counter('1');
    const headers = { 'if-match': await tagOf(path) };
    const answers = await Promise.all(
      [2, 3, 4, 5].map((value) => door.send('PUT', path, `{"value":${value}}`, headers)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412]);
  });

  it.each(['5', '"5', '""5"', '"a,b"', ''])('are refused when they are none: %s', async (tags) => {
    const path = await counter('5');
    expect(await door.code('PUT', path, '{"value":9}', { 'if-match': tags })).toBe('invalid_request');
    expect(await door.code('DELETE', path, undefined, { 'if-none-match': tags })).toBe('invalid_request');
  });

  it('are part of the request that a key stands for, and of its answer', async () => {
    const path = await counter('5');
    const key = { 'idempotency-key': `conditional ${path}` };
    const first = await door.send('PUT', path, '{"value":9}', { ...key, 'if-match': '"4"' });
    await door.text(200, 'PUT', path, '{"value":4}');
    const again = await door.send('PUT', path, '{"value":9}', { ...key, 'if-match': '"4"' });
    expect([again.status, again.text, again.headers['idempotency-replayed']]).toEqual([412, first.text, 'true']);
    expect(await door.code('PUT', path, '{"value":9}', { ...key, 'if-match': '"5"' })).toBe('idempotency_mismatch');
    expect(await door.code('PUT', path, '{"value":9}', { 'if-match': '*', 'if-none-match': '*' })).toBe(
      'invalid_request',
    );
  });
});

describe('the tag of a counter that many nodes share', () => {
  it('is weak, for its answer says as of when it is', async () => {
    const service = new HeldService();
    const held = await TestDoor.open({ service });
    const read = async (headers: Record<string, string>) => {
      const answer = held.send('GET', '/v1/counters/a', undefined, headers);
      await service.holding(1);
      service.complete((chunk) => {
        chunk.asOfMs = 1_000;
        chunk.flags[0] = Flag.existed;
        chunk.value[0] = 5;
      });
      return answer;
    };
    expect((await read({})).headers.etag).toBe('W/"5"');
    expect((await read({ 'if-none-match': 'W/"5"' })).status).toBe(304);
    expect((await read({ 'if-none-match': '"4"' })).status).toBe(200);
    await held.close();
  });
});
