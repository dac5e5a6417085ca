import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDoor } from '../../../test/http/door.ts';
import { fc } from '../../../test/property.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open({ policies: [{ match: 'stock:*', floor: 0n }] });
});
afterAll(() => door.close());

let names = 0;
const fresh = (): string => `counter-${++names}`;
const MAX = '9223372036854775807';
const MIN = '-9223372036854775808';

describe('increment and decrement', () => {
  it('by one, without a body', async () => {
    const name = fresh();
    expect(await door.text(200, 'POST', `/v1/counters/${name}/increment`)).toBe(
      `{"name":"${name}","value":1,"applied":1}`,
    );
    expect(await door.text(200, 'POST', `/v1/counters/${name}/increment`, '{}')).toContain('"value":2,"applied":1');
    expect(await door.text(200, 'POST', `/v1/counters/${name}/decrement`)).toContain('"value":1,"applied":-1');
  });

  it.each([
    'application/json',
    'application/x-www-form-urlencoded',
    'text/plain',
    'application/octet-stream',
    undefined,
  ])('take a JSON body as %s', async (type) => {
    const headers = type === undefined ? {} : { 'content-type': type };
    const text = await door.text(200, 'POST', `/v1/counters/${fresh()}/increment`, ' {"by": 5}\n', headers);
    expect(text).toContain('"value":5,"applied":5');
  });

  it('over the whole range of 64 bits, as literals and as strings', async () => {
    for (const [by, quoted] of [
      [MAX, MAX],
      [MIN, `"${MIN}"`],
      [MAX, `"${MAX}"`],
      [MIN, MIN],
    ]) {
      const path = `/v1/counters/${fresh()}/increment`;
      expect(await door.text(200, 'POST', path, `{"by":${quoted}}`)).toContain(`"value":${by},"applied":${by}}`);
      expect(await door.text(200, 'POST', `${path}?numbers=string`, '{"by":0}')).toContain(
        `"value":"${by}","applied":"0"}`,
      );
      expect(await door.code('POST', path, `{"by":${BigInt(by as string) > 0n ? 1 : -1}}`)).toBe('overflow');
    }
  });

  it('refuse the decrement by the minimum, which has no opposite', async () => {
    const name = fresh();
    expect(await door.code('POST', `/v1/counters/${name}/decrement`, `{"by":${MIN}}`)).toBe('overflow');
    expect(await door.code('POST', `/counter/decrement?counter_id=${name}`, `{"value":"${MIN}"}`)).toBe('overflow');
    expect(await door.text(200, 'GET', `/v1/counters/${name}`)).toContain('"exists":false');
  });

  it.each([
    ...[
      '-0',
      '1.0',
      '1e3',
      '1.5',
      'true',
      'null',
      '""',
      '"1.5"',
      '" 1"',
      '"1 "',
      '"+1"',
      '"01"',
      '"-0"',
      '"0x1"',
      '"1e3"',
      '[1]',
      '{}',
    ],
    ...['9223372036854775808', '"9223372036854775808"', '-9223372036854775809', '99999999999999999999', '1e400'],
  ])('refuse by = %s', async (by) => {
    const name = fresh();
    const answer = await door.send('POST', `/v1/counters/${name}/increment`, `{"by":${by}}`);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({
      code: 'invalid_number',
      outcome: 'refused',
      detail: expect.stringContaining('by: '),
    });
    expect(await door.text(200, 'GET', `/v1/counters/${name}`)).toContain('"exists":false');
  });

  it('tell any count exactly', async () => {
    const count = fc.bigInt({ min: BigInt(MIN), max: BigInt(MAX) });
    await fc.assert(
      fc.asyncProperty(count, fc.boolean(), async (by, asString) => {
        const name = fresh();
        const body = asString ? `{"by":"${by}"}` : `{"by":${by}}`;
        const text = await door.text(200, 'POST', `/v1/counters/${name}/increment`, body);
        expect(text).toBe(`{"name":"${name}","value":${by},"applied":${by}}`);
        expect(await door.text(200, 'GET', `/v1/counters/${name}?numbers=string`)).toContain(`"value":"${by}"`);
      }),
      { numRuns: 60 },
    );
  });

  it('keep to bounds, and say what was applied', async () => {
    const path = `/v1/counters/${fresh()}`;
    expect(await door.text(200, 'POST', `${path}/increment`, '{"by":7,"ceiling":10}')).toContain('"value":7');
    expect(await door.code('POST', `${path}/increment`, '{"by":7,"ceiling":10}')).toBe('above_ceiling');
    expect(await door.text(200, 'POST', `${path}/increment`, '{"by":7,"ceiling":"10","saturate":true}')).toContain(
      '"value":10,"applied":3',
    );
    expect(await door.code('POST', `${path}/decrement`, '{"by":11,"floor":0}')).toBe('below_floor');
    expect(await door.code('POST', `${path}/increment`, '{"floor":12,"ceiling":11}')).toBe('invalid_number');
    expect(await door.code('POST', `${path}/decrement`, '{"floor":12}')).toBe('below_floor');
    expect(await door.text(200, 'POST', `${path}/decrement`, '{"by":11,"floor":0,"saturate":true}')).toContain(
      '"value":0,"applied":-10',
    );
    expect(await door.code('POST', '/v1/counters/stock:1/decrement')).toBe('below_floor');
  });
});

describe('get', () => {
  it('reads what is there, and 0 with exists: false for what is not', async () => {
    const name = fresh();
    expect(await door.text(200, 'GET', `/v1/counters/${name}`)).toBe(`{"name":"${name}","value":0,"exists":false}`);
    await door.text(200, 'POST', `/v1/counters/${name}/increment`);
    expect(await door.text(200, 'GET', `/v1/counters/${name}`)).toBe(`{"name":"${name}","value":1,"exists":true}`);
    for (const consistency of ['local', 'region', 'strong']) {
      expect(await door.text(200, 'GET', `/v1/counters/${name}?consistency=${consistency}`)).toContain('"value":1');
    }
    expect(await door.code('GET', `/v1/counters/${name}?consistency=maybe`)).toBe('invalid_query');
    expect((await door.send('HEAD', `/v1/counters/${name}`)).status).toBe(200);
    const absent = `/v1/counters/${fresh()}`;
    const [get, head] = [await door.send('GET', absent), await door.send('HEAD', absent)];
    expect([head.status, head.text]).toEqual([200, '']);
    for (const field of ['etag', 'content-type', 'content-length', 'cache-control'])
      expect(head.headers[field]).toBe(get.headers[field]);
  });

  it('answers 304 to who has the value already', async () => {
    const path = `/v1/counters/${fresh()}`;
    const absent = (await door.send('GET', path)).headers.etag as string;
    await door.text(200, 'PUT', path, '{"value":0}');
    const { headers } = await door.send('GET', path);
    const etag = headers.etag as string;
    expect(etag).not.toBe(absent);
    for (const value of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      expect(await door.text(304, 'GET', path, undefined, { 'if-none-match': value })).toBe('');
    }
    await door.text(200, 'POST', `${path}/increment`);
    expect(await door.text(200, 'GET', path, undefined, { 'if-none-match': etag })).toContain('"value":1');
  });

  it('reads many in the order of the names', async () => {
    const [a, b] = [fresh(), fresh()];
    await door.text(200, 'POST', `/v1/counters/${b}/increment`, '{"by":-2}');
    const text = await door.text(200, 'GET', `/v1/counters?name=${b}&name=${a}&name=${b}&numbers=string`);
    expect(text).toBe(
      `{"counters":[{"name":"${b}","value":"-2","exists":true},{"name":"${a}","value":"0","exists":false},{"name":"${b}","value":"-2","exists":true}]}`,
    );
    expect(await door.text(200, 'GET', `/v1/counters?name=${a}`)).toContain('"counters":[{');
    expect(await door.code('GET', `/v1/counters?name=${a}&name=`)).toBe('invalid_name');
    expect(await door.code('GET', `/v1/counters?name=${a}&match=*`)).toBe('invalid_query');
  });
});

describe('listing', () => {
  it('gives every matching counter once, page by page', async () => {
    const expected = new Map<string, number>();
    for (let i = 0; i < 250; i++) expected.set(`list:${i}`, i);
    const entries = [...expected].map(([name, by]) => ({ name, by }));
    await door.text(200, 'POST', '/v1/batch', JSON.stringify([...entries, { name: 'lost:1' }]));
    const seen = new Map<string, number>();
    let cursor = '';
    let pages = 0;
    do {
      const text = await door.text(200, 'GET', `/v1/counters?match=list:*&limit=40&cursor=${cursor}`);
      const page = JSON.parse(text) as { counters: { name: string; value: number }[]; cursor: string | null };
      expect(page.counters.length).toBeLessThanOrEqual(40);
      for (const { name, value } of page.counters) {
        expect(seen.has(name)).toBe(false);
        seen.set(name, value);
      }
      cursor = page.cursor ?? '';
      pages++;
    } while (cursor !== '');
    expect(seen).toEqual(expected);
    expect(pages).toBeGreaterThan(6);
  });

  it('finds a rare name without a request per page', async () => {
    const entries = Array.from({ length: 3000 }, (_, i) => ({ name: `many:${i}` }));
    await door.text(200, 'POST', '/v1/batch', JSON.stringify([...entries, { name: 'rare:1' }]));
    expect(await door.text(200, 'GET', '/v1/counters?match=rare:*&limit=10')).toContain('{"name":"rare:1","value":1}');
  });

  it.each(['limit=0', 'limit=10001', 'limit=x', 'limit=-1', 'limit=1&limit=2', 'limit=99999', 'nmae=x'])(
    'refuses %s',
    async (query) => {
      expect(await door.code('GET', `/v1/counters?${query}`)).toBe('invalid_query');
    },
  );

  it.each([
    ['/v1/counters?limit=0', 'parameter "limit": Counters in a page at most, 1 to 10000; 100 without it.'],
    ['/v1/counters?limit=10001', 'parameter "limit": 1 to 10000'],
    ['/v1/counters/a?consistency=foo', 'parameter "consistency": must be one of local, region, strong'],
    ['/v1/counters/a?numbers=1', 'parameter "numbers": must be one of literal, string'],
  ])('says what a parameter takes: %s', async (path, detail) => {
    expect(JSON.parse(await door.text(400, 'GET', path)).detail).toBe(detail);
  });

  it('refuses a cursor that it did not give', async () => {
    for (const cursor of ['1', 'x', '99999999999999999999']) {
      expect(await door.code('GET', `/v1/counters?cursor=${cursor}`)).toBe('invalid_cursor');
    }
  });
});

describe('set, delete and time to live', () => {
  it('set tells what was before', async () => {
    const name = fresh();
    expect(await door.text(200, 'PUT', `/v1/counters/${name}`, `{"value":${MIN}}`)).toBe(
      `{"name":"${name}","value":${MIN},"previous":0}`,
    );
    expect(await door.text(200, 'PUT', `/v1/counters/${name}`, '{"value":"0"}')).toContain(
      `"value":0,"previous":${MIN}`,
    );
    expect(await door.code('PUT', `/v1/counters/${name}`, '{}')).toBe('invalid_body');
    expect(await door.code('PUT', `/v1/counters/${name}`)).toBe('invalid_body');
    expect(await door.code('PUT', `/v1/counters/${name}`, '{"value":1.0}')).toBe('invalid_number');
  });

  it('delete tells whether there was something', async () => {
    const name = fresh();
    await door.text(200, 'POST', `/v1/counters/${name}/increment`, '{"by":3}');
    expect(await door.text(200, 'DELETE', `/v1/counters/${name}`)).toBe(
      `{"name":"${name}","deleted":true,"previous":3}`,
    );
    expect(await door.text(200, 'DELETE', `/v1/counters/${name}`)).toBe(
      `{"name":"${name}","deleted":false,"previous":0}`,
    );
    expect(await door.code('DELETE', `/v1/counters/${name}`, '{"value":1}')).toBe('invalid_body');
  });

  it('a ttl comes and goes', async () => {
    const name = fresh();
    const path = `/v1/counters/${name}`;
    expect(await door.text(200, 'GET', `${path}/ttl`)).toBe(`{"name":"${name}","ttl":null,"exists":false}`);
    expect(await door.text(200, 'PUT', `${path}/ttl`, '{"ttl":60}')).toBe(
      `{"name":"${name}","ttl":null,"exists":false}`,
    );
    await door.text(200, 'POST', `${path}/increment`, '{"ttl":"1000"}');
    expect(await door.text(200, 'GET', `${path}/ttl`)).toMatch(/"ttl":(1000|999),"exists":true/);
    expect(await door.text(200, 'PUT', `${path}/ttl`, '{"ttl":5000}')).toContain('"ttl":5000,"exists":true');
    expect(await door.text(200, 'PUT', `${path}/ttl`, '{"ttl":null}')).toContain('"ttl":null,"exists":true');
    await door.text(200, 'PUT', path, '{"value":1,"ttl":4503599627370}');
    expect(await door.text(200, 'GET', `${path}/ttl`)).toMatch(/"ttl":\d{13}/);
    await door.text(200, 'PUT', path, '{"value":1}');
    expect(await door.text(200, 'GET', `${path}/ttl`)).toContain('"ttl":null,"exists":true');
  });

  it.each(['0', '-1', '1.5', '"1.5"', '""', 'true', '4503599627371', '"9223372036854775807"', '{}'])(
    'refuses a ttl of %s',
    async (ttl) => {
      const path = `/v1/counters/${fresh()}`;
      expect(await door.code('PUT', `${path}/ttl`, `{"ttl":${ttl}}`)).toBe('invalid_deadline');
      expect(await door.code('POST', `${path}/increment`, `{"ttl":${ttl}}`)).toBe('invalid_deadline');
      expect(await door.code('PUT', path, `{"value":1,"ttl":${ttl}}`)).toBe('invalid_deadline');
      expect(await door.text(200, 'GET', path)).toContain('"exists":false');
    },
  );
});

describe('operations', () => {
  it('tell that it lives and takes updates', async () => {
    expect(await door.text(200, 'GET', '/livez')).toBe('{"status":"ok"}');
    expect(await door.text(200, 'GET', '/readyz?x=1')).toBe('{"status":"ok"}');
    expect(JSON.parse(await door.text(200, 'GET', '/v1/info'))).toMatchObject({
      version: '1.2.3',
      state: 'open',
      failure: null,
    });
    expect(await door.text(200, 'GET', '/v1/info?numbers=string')).toMatch(/"sequence":"\d+"/);
    expect(JSON.parse(await door.text(200, 'POST', '/v1/snapshot'))).toMatchObject({
      file: expect.any(String),
      counters: expect.any(Number),
    });
    expect(await door.code('POST', '/v1/snapshot', '{"now":true}')).toBe('invalid_body');
  });
});
