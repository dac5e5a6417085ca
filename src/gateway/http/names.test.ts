import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDoor } from '../../../test/http/door.ts';
import { fc } from '../../../test/property.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open();
});
afterAll(() => door.close());

/** Percent-encodes every byte, or every byte that a URL cannot carry as it is. */
const encoded = (name: string, all: boolean): string =>
  all ? Buffer.from(name).toString('hex').replace(/../g, '%$&') : encodeURIComponent(name);

describe('a name in the path', () => {
  it('may be any byte, alone or among others', async () => {
    const increment = async (name: string, all: boolean): Promise<void> => {
      const text = await door.text(200, 'POST', `/v1/counters/${encoded(name, all)}/increment`);
      expect(JSON.parse(text)).toMatchObject({ name, applied: 1 });
    };
    const characters = Array.from({ length: 256 }, (_, code) => String.fromCodePoint(code));
    for (const name of characters.flatMap((character) => [character, `a${character}b`])) {
      if (name === '.') continue;
      await Promise.all([increment(name, true), increment(name, false)]);
      expect(await door.text(200, 'GET', `/v1/counters/${encoded(name, true)}`)).toContain('"value":2');
    }
  });

  it('is the same counter as that name anywhere else', async () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter((name) => !/^\.\.?$/.test(name));
    await fc.assert(
      fc.asyncProperty(text, fc.boolean(), async (name, all) => {
        await door.text(200, 'PUT', `/v1/counters/${encoded(name, all)}`, '{"value":7}');
        const query = `/v1/counters?name=${encoded(name, !all)}`;
        expect(JSON.parse(await door.text(200, 'GET', query))).toEqual({
          counters: [{ name, value: 7, exists: true }],
        });
        const batch = JSON.parse(await door.text(200, 'POST', '/v1/batch', JSON.stringify([{ name }])));
        expect(batch.results).toEqual([{ name, value: 8, applied: 1 }]);
        const simple = `/counter/value?counter_id=${encoded(name, all)}`;
        expect(await door.text(200, 'GET', simple)).toBe('{"current_value":8}');
      }),
      { numRuns: 150 },
    );
  });

  it('looks like encoding and is none', async () => {
    for (const name of [
      '%41',
      '%2541',
      '%',
      '100%',
      'a+b',
      'a b',
      '%zz',
      '/',
      '//',
      '/../',
      '?x=1',
      '#',
      ';a=b',
      '&=',
      ':id',
      '*',
    ]) {
      await door.text(200, 'PUT', `/v1/counters/${encodeURIComponent(name)}`, '{"value":3}');
      const query = `/v1/counters?name=${encodeURIComponent(name)}`;
      expect(JSON.parse(await door.text(200, 'GET', query)).counters).toEqual([{ name, value: 3, exists: true }]);
    }
  });

  it('takes up to 255 bytes', async () => {
    for (const name of ['x'.repeat(255), 'é'.repeat(127), '€'.repeat(85), '\0'.repeat(255)]) {
      expect(await door.text(200, 'POST', `/v1/counters/${encoded(name, true)}/increment`)).toContain('"value":1');
    }
    for (const name of ['x'.repeat(256), 'é'.repeat(128), 'x'.repeat(5000)]) {
      expect(await door.code('POST', `/v1/counters/${encoded(name, true)}/increment`)).toBe('invalid_name');
      expect(await door.code('GET', `/v1/counters/${encoded(name, true)}`)).toBe('invalid_name');
    }
    expect(await door.code('PUT', `/v1/${'x'.repeat(250)}/likes`, '{"action":"increment"}')).toBe('invalid_name');
  });

  it('is refused by code when it is empty', async () => {
    expect(await door.code('GET', '/v1/counters/')).toBe('invalid_name');
    expect(await door.code('POST', '/v1/counters//increment')).toBe('invalid_name');
    expect(await door.code('PUT', '/v1/counters/', '{"value":1}')).toBe('invalid_name');
    expect(await door.code('GET', '/v1/counters//ttl')).toBe('invalid_name');
    expect(await door.code('GET', '/v1/counters?name=')).toBe('invalid_name');
  });

  it.each(['%FF', '%C3%28', '%C0%80', '%ED%A0%80', '%E2%82', '%F5%80%80%80', '%', '%4', '%zz', 'a%'])(
    'is refused when it is no UTF-8: %s',
    async (text) => {
      expect(await door.code('POST', `/v1/counters/${text}/increment`)).toBe('invalid_name');
      expect(await door.code('GET', `/v1/counters?name=${text}`)).toBe('invalid_query');
      expect(await door.code('GET', `/counter/value?counter_id=${text}`)).toBe('invalid_query');
    },
  );

  it('is encoded: bytes beyond ASCII are no URL', async () => {
    const raw = Buffer.from('größe').toString('latin1');
    expect(await door.code('POST', `/v1/counters/${raw}/increment`)).toBe('invalid_request');
    expect(await door.code('GET', `/v1/counters?name=${raw}`)).toBe('invalid_request');
  });
});

it('a name in a body is refused when it has no UTF-8', async () => {
  expect(await door.code('POST', '/counter/increment', '{"counter_id":"\\ud800"}')).toBe('invalid_name');
  const answer = JSON.parse(
    await door.text(
      200,
      'POST',
      '/v1/batch',
      '[{"name":"a\\udc00"},{"name":"é\\ud800","by":"1"},{"name":"\\ud83d\\ude00"}]',
    ),
  );
  expect(answer.results[0].error.code).toBe('invalid_name');
  expect(answer.results[1].error.code).toBe('invalid_name');
  expect(answer.results[2]).toEqual({ name: '😀', value: 1, applied: 1 });
});
