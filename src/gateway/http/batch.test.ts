import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeldService, RawConnection, TestDoor } from '../../../test/http/door.ts';
import { fc } from '../../../test/property.ts';
import { ERRORS, type ErrorCode } from '../../counter/errors.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open();
});
afterAll(() => door.close());

interface Answered {
  readonly results: Record<string, unknown>[];
  readonly refused: number;
  readonly replayed: boolean;
}

const batch = async (body: string, query = '', headers: Record<string, string> = {}): Promise<Answered> =>
  JSON.parse(await door.text(200, 'POST', `/v1/batch${query}`, body, headers));
const value = async (name: string): Promise<unknown> =>
  JSON.parse(await door.text(200, 'GET', `/v1/counters?name=${encodeURIComponent(name)}&numbers=string`)).counters[0]
    .value;

let names = 0;
const fresh = (): string => `batch-${++names}`;

describe('the body of a batch', () => {
  const entries = (a: string, b: string): string[] => [`{"name":"${a}"}`, `{ "name":"${b}", "by": -3 }`];
  const shapes: Record<string, (lines: string[]) => [string, Record<string, string>?]> = {
    'an array': (lines) => [`[${lines.join(',')}]`],
    'an array that claims to be a form': (lines) => [
      `[${lines}]`,
      { 'content-type': 'application/x-www-form-urlencoded' },
    ],
    'an object': (lines) => [`{"updates":[${lines}]}`],
    'NDJSON by its type': (lines) => [lines.join('\n'), { 'content-type': 'application/x-ndjson' }],
    'NDJSON by its look': (lines) => [`\n${lines.join('\r\n')}\n\n`, { 'content-type': 'application/json' }],
    'NDJSON without any type': (lines) => [`${lines.join('\n')}\n`],
    'an array behind a byte order mark': (lines) => [`\ufeff[${lines}]`],
    'an object behind a byte order mark': (lines) => [`\ufeff{"updates":[${lines}]}`],
    'NDJSON behind a byte order mark': (lines) => [
      `\ufeff${lines.join('\n')}`,
      { 'content-type': 'application/x-ndjson' },
    ],
    'NDJSON by its look, behind a byte order mark': (lines) => [`\ufeff${lines.join('\n')}`],
  };

  it.each(Object.keys(shapes))('may be %s', async (shape) => {
    const [a, b] = [fresh(), fresh()];
    const [body, headers] = shapes[shape]?.(entries(a, b)) ?? [''];
    expect(await batch(body, '', headers)).toEqual({
      results: [
        { name: a, value: 1, applied: 1 },
        { name: b, value: -3, applied: -3 },
      ],
      refused: 0,
      replayed: false,
    });
  });

  it('may be a single line, or nothing', async () => {
    expect((await batch(`{"name":"${fresh()}"}`)).results).toHaveLength(1);
    expect(await batch('[]')).toEqual({ results: [], refused: 0, replayed: false });
    expect((await batch('', '', { 'content-type': 'application/x-ndjson' })).results).toEqual([]);
  });

  it.each([
    '',
    '7',
    '"a"',
    'null',
    'name=a',
    '[{"name":"a"},',
    '{"updates":7}',
    '{"updates":[],"x":1}',
    '{"updates":[],"atomic":"true"}',
  ])('is refused as a whole: %j', async (body) => {
    expect(await door.code('POST', '/v1/batch', body)).toBe('invalid_body');
  });

  it('is told from lines by its first line', async () => {
    const pretty = await door.send('POST', '/v1/batch', '{\n  "updates": [\n    {"name": "a", "name": "b"}\n  ]\n}');
    expect(JSON.parse(pretty.text).detail).toContain('twice');
    const lines = await door.send('POST', '/v1/batch', '{"name":"a"} \n{"name":\n');
    expect(JSON.parse(lines.text).detail).toContain('line 2');
  });

  it('is not read when it has more values than any batch', async () => {
    for (const body of [`[${'1,'.repeat(300_000)}1]`, '\n'.repeat(300_000), `[${'{"by":1.0},'.repeat(300_000)}{}]`]) {
      expect(await door.code('POST', '/v1/batch', body)).toBe('body_too_large');
    }
    const name = 'a,\n'.repeat(60);
    const body = JSON.stringify(
      Array.from({ length: 10_000 }, () => ({ name, by: 0, id: undefined })),
      undefined,
      1,
    );
    expect((await batch(body)).refused).toBe(0);
  });

  it.each([
    ['{"name":"a"}\n{"name":"b" "by":1}\n', 'line 2 is not JSON', 12],
    ['[{"name":"a"},\n {"name":"b" "by":1}]', 'the entry with index 1 is not JSON', 12],
  ])('says once where it is broken: %j', async (body, part, position) => {
    const { detail } = JSON.parse(await door.text(400, 'POST', '/v1/batch', body)) as { detail: string };
    expect(detail).toMatch(new RegExp(`^${part}: [^:]* at position ${position}$`));
  });

  it('changes nothing when its last line is broken', async () => {
    const name = fresh();
    const answer = await door.send('POST', '/v1/batch', `{"name":"${name}"}\n{"name":"${name}"}\n{"name":`);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text).detail).toContain('line 3');
    expect(await value(name)).toBe('0');
  });

  it('has up to 10 000 entries', async () => {
    const name = fresh();
    const body = (count: number): string => JSON.stringify(Array.from({ length: count }, () => ({ name, by: 2 })));
    expect((await batch(body(10_000))).results[9_999]).toEqual({ name, value: 20_000, applied: 2 });
    expect(await door.code('POST', '/v1/batch', body(10_001))).toBe('body_too_large');
    expect(await door.code('POST', '/v1/batch?atomic=true', body(10_001))).toBe('body_too_large');
    expect(await door.code('POST', '/v1/batch', `{"atomic":true,"updates":${body(10_001)}}`)).toBe('atomic_too_large');
    expect(await value(name)).toBe('20000');
  });
});

describe('entries', () => {
  it('have an outcome each', async () => {
    const [a, b] = [fresh(), fresh()];
    const { results, refused } = await batch(
      `[{"name":"${a}","by":"5","at":1237714200},{"name":"${a}","by":1.5},7,{"name":"${b}","by":-1,"floor":0},{"by":1},
        {"name":"${b}","bye":1},{"name":7},{"name":"${a}","by":9223372036854775807},{"name":""},{"name":"${a}","at":"soon"},
        {"name":"${a}","by":-3,"floor":4,"saturate":true},{"name":"${a}","ttl":0},{"name":"${a}","id":""},null,[],
        {"name":"${b}","by":9223372036854775807},{"name":"${a}","saturate":"yes"},{"__proto__":{"by":1},"name":"${a}"}]`,
    );
    const codes = results.map((result) => (result.error as { code: string } | undefined)?.code);
    expect(codes).toEqual([
      ...[undefined, 'invalid_number', 'invalid_body', 'below_floor', 'invalid_body'],
      ...['invalid_body', 'invalid_body', 'overflow', 'invalid_name', 'invalid_number'],
      ...[undefined, 'invalid_deadline', 'invalid_idempotency_key', 'invalid_body', 'invalid_body'],
      ...[undefined, 'invalid_body', 'invalid_body'],
    ]);
    expect(refused).toBe(15);
    const long = 'x'.repeat(300);
    const more = await batch(
      `[{"name":"${long}"},{"name":"${'ü'.repeat(128)}"},{"name":"${a}","at":"9999999999999999999"}]`,
    );
    expect(more.results.map(({ error }) => (error as { code: string }).code)).toEqual([
      ...['invalid_name', 'invalid_name', 'invalid_number'],
    ]);
    expect(more.results[0]).not.toHaveProperty('name');
    expect(results[0]).toEqual({ name: a, value: 5, applied: 5 });
    expect(results[1]?.name).toBe(a);
    expect(results[2]).not.toHaveProperty('name');
    expect(results[10]).toEqual({ name: a, value: 4, applied: -1 });
    expect(await value(b)).toBe('9223372036854775807');
    expect(({} as { by?: unknown }).by).toBeUndefined();
  });

  it('are counted like single increments, whatever their mixture', async () => {
    const entry = fc.record(
      {
        name: fc.constantFrom('m:1', 'm:"2"', 'm:ü', 'm:\n'),
        by: fc.oneof(
          fc.integer({ min: -1000, max: 1000 }),
          fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
          fc.maxSafeInteger(),
        ),
        saturate: fc.boolean(),
      },
      { requiredKeys: ['name'] },
    );
    const model = new Map<string, bigint>();
    const clamp = (count: bigint): bigint => (count > 0n ? 2n ** 63n - 1n : -(2n ** 63n));
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 30 }), async (entries) => {
        const { results } = await batch(JSON.stringify(entries), '?numbers=string');
        expect(results).toHaveLength(entries.length);
        for (const [i, { name, by = 1, saturate = false }] of entries.entries()) {
          const before = model.get(name) ?? 0n;
          const sum = before + BigInt(by);
          const fits = BigInt.asIntN(64, sum) === sum;
          if (!fits && !saturate) {
            expect(results[i]).toMatchObject({ name, error: { code: 'overflow' } });
            continue;
          }
          const after = fits ? sum : clamp(sum);
          model.set(name, after);
          expect(results[i]).toEqual({ name, value: `${after}`, applied: `${after - before}` });
        }
      }),
      { numRuns: 100 },
    );
    for (const [name, expected] of model) expect(await value(name)).toBe(`${expected}`);
  });
});

it('an answer that is read late is still the answer to its own request', async () => {
  const request = (name: string, connection: string): string => {
    const body = `[${Array.from({ length: 3_000 }, () => `{"name":"${name}","by":0}`).join()}]`;
    return `POST /v1/batch HTTP/1.1\r\nhost: x\r\nconnection: ${connection}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  };
  const late = await RawConnection.open(door.port);
  late.socket.pause();
  const names = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(250, 'l'));
  for (const name of names) late.socket.write(request(name, name === names.at(-1) ? 'close' : 'keep-alive'));
  for (const _ of names) {
    const prompt = await RawConnection.open(door.port);
    prompt.socket.write(request('p'.repeat(250), 'close'));
    await prompt.rest();
  }
  late.socket.resume();
  const answers = (await late.rest()).split('HTTP/1.1 200 OK').slice(1);
  const told = answers.map((answer) => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Answered);
  expect(told.map(({ results }) => [results.length, ...new Set(results.map(({ name }) => name))])).toEqual(
    names.map((name) => [3_000, name]),
  );
});

describe('all or nothing', () => {
  const three = (name: string): string =>
    `{"name":"${name}","by":5},{"name":"${name}","by":-6,"floor":0},{"name":"${name}"}`;

  it.each(['?atomic=true', '{"atomic":true}'])('names who is to blame: %s', async (how) => {
    const name = fresh();
    const inQuery = how.startsWith('?');
    const body = inQuery ? `[${three(name)}]` : `{"atomic":true,"updates":[${three(name)}]}`;
    const answer = await door.send('POST', `/v1/batch${inQuery ? how : ''}`, body);
    expect(answer.status).toBe(409);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'below_floor', index: 1, name, outcome: 'refused' });
    expect(await value(name)).toBe('0');
  });

  it('refuses an entry that it does not understand, before anything', async () => {
    const name = fresh();
    const answer = await door.send('POST', '/v1/batch?atomic=true', `[{"name":"${name}"},{"name":"${name}","by":1.5}]`);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'invalid_number', index: 1, name });
    expect(await value(name)).toBe('0');
  });

  it('applies all when all fit', async () => {
    const name = fresh();
    const { results } = await batch(`[{"name":"${name}","by":5},{"name":"${name}","by":-5,"floor":0}]`, '?atomic=true');
    expect(results.map((result) => result.value)).toEqual([5, 0]);
    expect((await batch(`[{"name":"${name}"},{"name":"${name}","by":-9,"floor":0}]`, '?atomic=false')).refused).toBe(1);
  });

  it('is not said twice', async () => {
    const body = `{"atomic":true,"updates":[{"name":"${fresh()}"}]}`;
    expect(await door.code('POST', '/v1/batch?atomic=true', body)).toBe('invalid_body');
    expect(await door.code('POST', '/v1/batch?atomic=yes', '[]')).toBe('invalid_query');
  });
});

describe('ids', () => {
  it('count once, in whatever batch and however written', async () => {
    const name = fresh();
    const first = await batch(`[{"name":"${name}","by":5,"id":"event ${name}"},{"name":"${name}","by":1}]`);
    expect(first.results).toEqual([
      { name, value: 5, applied: 5 },
      { name, value: 6, applied: 1 },
    ]);
    const again = await batch(`[{"id":"event ${name}","by":"5","name":"${name}","at":77}]`);
    expect(again.results).toEqual([{ name, value: 5, applied: 5, replayed: true }]);
    const other = await batch(`[{"name":"${name}","by":6,"id":"event ${name}"}]`);
    expect(other.results[0]?.error).toMatchObject({ code: 'idempotency_mismatch' });
    expect(await value(name)).toBe('6');
  });
});

describe('keys', () => {
  it('repeat the outcomes', async () => {
    const name = fresh();
    const body = `[{"name":"${name}","by":5},{"name":"${name}","by":true},{"name":"${name}","by":-9,"floor":0}]`;
    const headers = { 'idempotency-key': `key-${name}` };
    const first = await door.send('POST', '/v1/batch', body, headers);
    const second = await door.send('POST', '/v1/batch', body, headers);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(second.headers['idempotency-replayed']).toBe('true');
    const replayed = JSON.parse(second.text) as Answered;
    expect(replayed.replayed).toBe(true);
    expect(replayed.results.map(({ value, error }) => value ?? error)).toEqual(
      (JSON.parse(first.text) as Answered).results.map(({ value, error }) => value ?? error),
    );
    expect(await value(name)).toBe('5');
    expect(await door.code('POST', '/v1/batch', body.replace('5', '6'), headers)).toBe('idempotency_mismatch');
    expect(await door.code('POST', '/v1/batch?atomic=true', body, headers)).toBe('invalid_number');
  });

  it('of an atomic batch that was refused, repeat the refusal', async () => {
    const name = fresh();
    const body = `[{"name":"${name}"},{"name":"${name}","by":-9,"floor":0}]`;
    const headers = { 'idempotency-key': `key-${name}` };
    const first = await door.send('POST', '/v1/batch?atomic=true', body, headers);
    await door.text(200, 'PUT', `/v1/counters/${name}`, '{"value":100}');
    const second = await door.send('POST', '/v1/batch?atomic=true', body, headers);
    expect([second.status, second.text]).toEqual([first.status, first.text]);
    expect(second.headers['idempotency-replayed']).toBe('true');
  });

  it('of an import chunk are remembered without their outcomes', async () => {
    const name = fresh();
    const headers = { 'tallyd-import-chunk': 'ab12' };
    const body = `{"name":"${name}","by":5}\n`;
    expect(await batch(body, '', headers)).toMatchObject({ replayed: false, refused: 0 });
    expect(await batch(body, '', headers)).toEqual({ results: [], refused: 0, replayed: true });
    // Written in another way it is the same chunk: its id is a digest of the content.
    expect(await batch(`[{"name":"${name}","by":"5"}]`, '', headers)).toMatchObject({ replayed: true });
    expect(await batch(`{"name":"${name}","by":5,"id":"left out later"}`, '', headers)).toMatchObject({
      replayed: true,
    });
    for (const other of [body.replace('5', '6'), body.repeat(2), `{"name":"${name}","by":5,"ceiling":9}`])
      expect(await door.code('POST', '/v1/batch', other, headers)).toBe('idempotency_mismatch');
    expect(await value(name)).toBe('5');
    expect(await door.code('POST', '/v1/batch', body, { ...headers, 'idempotency-key': 'x' })).toBe(
      'invalid_idempotency_key',
    );
    for (const chunk of ['', '>ab12']) {
      const refused = await door.code('POST', '/v1/batch', body, { 'tallyd-import-chunk': chunk });
      expect(refused).toBe('invalid_idempotency_key');
    }
    for (const header of ['tallyd-import-after', 'tallyd-import-places']) {
      const refused = await door.code('POST', '/v1/batch', body, { 'tallyd-import-chunk': 'new', [header]: '>ab12' });
      expect(refused).toBe('invalid_idempotency_key');
    }
  });
});

describe('a batch of which nothing could be applied just now', () => {
  const service = new HeldService();
  const refuse = async (body: string, codes: readonly (ErrorCode | undefined)[], key = ''): Promise<Response> => {
    const held = await TestDoor.open({ service });
    const headers: Record<string, string> = key === '' ? {} : { 'idempotency-key': key };
    const answer = fetch(`http://127.0.0.1:${held.port}/v1/batch`, { method: 'POST', body, headers });
    await service.holding(1);
    service.complete((chunk) => {
      for (const [i, code] of codes.entries()) chunk.code[i] = code === undefined ? 0 : ERRORS[code].id;
    });
    const whole = new Response(await (await answer).text(), await answer);
    await held.close();
    return whole;
  };
  const BOTH = '[{"name":"a"},{"name":"b","by":2}]';

  it.each(['unavailable', 'store_away', 'idempotency_full'] as const)('is refused as a whole: %s', async (code) => {
    const answer = await refuse(BOTH, [code, code]);
    expect(answer.status).toBe(ERRORS[code].httpStatus);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(await answer.json()).toMatchObject({ code, outcome: 'refused' });
  });

  it('is 200 with the outcomes where an entry was applied, or refused for another reason', async () => {
    const cases: [string, (ErrorCode | undefined)[]][] = [
      [BOTH, ['unavailable', undefined]],
      [BOTH, ['unavailable', 'store_away']],
      [BOTH, ['below_floor', 'below_floor']],
      ['[{"name":"a"},{"name":"b","by":1.5}]', ['unavailable']],
    ];
    for (const [body, codes] of cases) {
      const answer = await refuse(body, codes);
      expect(answer.status).toBe(200);
      expect(((await answer.json()) as Answered).results).toHaveLength(2);
    }
  });
});

describe('the time of an entry', () => {
  it.each(['0', '1764320000', '"1764320000"', '253402300799'])('may be %s', async (at) => {
    expect((await batch(`[{"name":"${fresh()}","at":${at}}]`)).refused).toBe(0);
  });

  it.each(['-1', '1764320000000', '253402300800', '"1764320000000"', '-0', '1e9'])('is not %s', async (at) => {
    const { results } = await batch(`[{"name":"${fresh()}","at":${at}}]`);
    expect(results[0]?.['error']).toMatchObject({ code: 'invalid_number', detail: expect.stringContaining('at: ') });
  });
});
