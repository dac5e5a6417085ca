import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeldService, RawConnection, TestDoor } from '../../../test/http/door.ts';
import { ERRORS } from '../../counter/errors.ts';
import { Secret } from '../auth/secret.ts';

it('the documentation has every code with its status', () => {
  const page = readFileSync(new URL('../../../docs/http.md', import.meta.url), 'utf8');
  for (const [code, { httpStatus, outcome }] of Object.entries(ERRORS)) {
    const rows = page.split('\n').filter((line) => /^\| \d{3}/.test(line) && line.includes(`\`${code}\``));
    expect(rows, code).toHaveLength(1);
    expect(rows[0]?.split('|')[1], code).toContain(String(httpStatus));
    if (outcome === 'unknown') expect(rows[0], code).toContain('unknown');
  }
});

describe('every error is a problem', () => {
  let door: TestDoor;
  beforeAll(async () => {
    door = await TestDoor.open({ limits: { bodyBytesMax: 100_000 } });
  });
  afterAll(() => door.close());

  it('with type, title, status, code, outcome and detail', async () => {
    const answer = await door.send('GET', '/nowhere');
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json(;|$)/);
    expect(JSON.parse(answer.text)).toEqual({
      type: 'urn:tallyd:error:not_found',
      title: 'not found',
      status: 404,
      code: 'not_found',
      outcome: 'refused',
      detail: ERRORS.not_found.message,
    });
  });

  it.each([
    ['GET', '/'],
    ['GET', '/v1'],
    ['POST', '/v1/counters/a/b'],
    ['GET', '/v2/counters/a'],
    ['POST', '/v1/counters/a/increment/'],
    ['PROPFIND', '/nowhere'],
    ['GET', '/docs/../../etc/passwd'],
    ['GET', '/docs/static/..%2f..%2fpackage.json'],
  ])('no such route: %s %s', async (method, path) => {
    expect(await door.code(method, path)).toBe('not_found');
    expect(await door.code('POST', '/nowhere', 'no json, and nobody asks')).toBe('not_found');
  });

  it.each([
    ['GET', '/v1/counters/a/increment', 'POST'],
    ['DELETE', '/v1/batch', 'POST'],
    ['PATCH', '/v1/counters/a', 'GET, HEAD, PUT, DELETE'],
    ['POST', '/v1/counters/a', 'GET, HEAD, PUT, DELETE'],
    ['OPTIONS', '/v1/counters', 'GET, HEAD'],
    ['POST', '/v1/p/likes', 'GET, HEAD, PUT'],
    ['PUT', '/livez', 'GET, HEAD'],
  ])('no such method: %s %s', async (method, path, allow) => {
    const answer = await door.send(method, path, 'no json, and nobody asks');
    expect(JSON.parse(answer.text)).toMatchObject({ status: 405, code: 'method_not_allowed' });
    expect([answer.status, answer.headers.allow]).toEqual([405, allow]);
  });

  it.each([
    ['{"by":1', 'not JSON'],
    ['by=1', 'not JSON'],
    ['null', 'JSON object'],
    ['[]', 'JSON object'],
    ['7', 'JSON object'],
    ['{"by":1,"by":2}', 'twice'],
    ['{"amount":1}', '"amount"'],
    ['{"By":1}', '"By"'],
    ['{"by":1,"__proto__":{"floor":0}}', '"__proto__"'],
    ['{"constructor":1}', '"constructor"'],
    ['{"saturate":"true"}', '"saturate"'],
    ['{"saturate":1}', '"saturate"'],
  ])('a body that is not what the route takes: %s', async (body, complaint) => {
    const answer = await door.send('POST', '/v1/counters/refused/increment', body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'invalid_body', detail: expect.stringContaining(complaint) });
    expect(await door.text(200, 'GET', '/v1/counters/refused')).toContain('"exists":false');
  });

  it.each(['numbers=text', 'numbers=string&numbers=string', 'x', 'x=1', '%', 'numbers=%FF', '__proto__=1', 'numbers'])(
    'a query that is not what the route takes: %s',
    async (query) => {
      expect(await door.code('POST', `/v1/counters/refused/increment?${query}`)).toBe('invalid_query');
      expect(await door.text(200, 'GET', '/v1/counters/refused')).toContain('"exists":false');
    },
  );

  it('a body that is too large, however it comes', async () => {
    const path = '/v1/counters/refused/increment';
    for (const size of [100_001, 300_000, 500_000]) {
      expect(await door.code('POST', path, ' '.repeat(size))).toBe('body_too_large');
      expect(await door.code('POST', '/v1/batch', ' '.repeat(size))).toBe('body_too_large');
      const headers = { 'transfer-encoding': 'chunked' };
      expect(await door.code('POST', path, ' '.repeat(size), headers)).toBe('body_too_large');
    }
    // Only a batch may have as much as that.
    expect(await door.code('POST', path, ' '.repeat(65_537))).toBe('body_too_large');
    expect(await door.text(200, 'POST', path, `${' '.repeat(65_528)}{"by":1}`)).toContain('"value":1');
    await door.text(200, 'POST', '/v1/batch', `${' '.repeat(50_000)}[{"name":"refused","by":1}]${' '.repeat(49_971)}`);
    await door.text(200, 'DELETE', '/v1/counters/refused');
  });

  it('a body that is said to be larger than anyone would read, before it comes', async () => {
    const raw = await RawConnection.open(door.port);
    raw.socket.write('POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n');
    expect(await raw.rest()).toContain('"code":"body_too_large"');
  });

  it('an encoded body', async () => {
    expect(await door.code('POST', '/v1/batch', 'x', { 'content-encoding': 'gzip' })).toBe('unsupported_media_type');
    expect(await door.code('POST', '/v1/batch', '[]', { 'content-type': 'not a type' })).toBe('unsupported_media_type');
  });

  it.each(['', 'é', 'x'.repeat(256), 'tab\tin'])('an idempotency key that is none: %j', async (key) => {
    const headers = { 'idempotency-key': Buffer.from(key).toString('latin1') };
    expect(await door.code('POST', '/v1/counters/refused/increment', '{}', headers)).toBe('invalid_idempotency_key');
  });

  it.each([
    ['GET / HTTP/9.9\r\n\r\n', 'invalid_request'],
    ['what is this\r\n\r\n', 'invalid_request'],
    ['\x16\x03\x01\x02\x00\x01\x00\x01', 'invalid_request'],
    ['GET /livez HTTP/1.1\r\n\r\n', 'invalid_request'],
    ['POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n', 'invalid_request'],
    [
      'POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n',
      'invalid_request',
    ],
    ['POST /v1/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', 'invalid_request'],
    [`GET /v1/counters/${'x'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 'headers_too_large'],
    [`GET /livez HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 'headers_too_large'],
  ])('what is no HTTP: %.60j', async (bytes, code) => {
    const raw = await RawConnection.open(door.port);
    raw.socket.end(Buffer.from(bytes, 'latin1'));
    const text = await raw.rest();
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(text).toContain('application/problem+json');
    expect(text).toContain(`"code":"${code}"`);
  });

  it('an HTTP/1.0 request and an unknown expectation are no errors', async () => {
    const raw = await RawConnection.open(door.port);
    raw.socket.end('GET /livez HTTP/1.0\r\n\r\n');
    expect(await raw.rest()).toContain('200 OK');
    expect(
      await door.text(200, 'POST', '/v1/counters/expected/increment', '{"by":2}', { expect: 'wonders' }),
    ).toContain('2');
    expect(door.log.lines).toEqual([]);
  });
});

describe('an error of our own', () => {
  it('is logged, and told without its insides', async () => {
    const service = new HeldService();
    const door = await TestDoor.open({ service });
    const answer = await door.send('POST', '/v1/snapshot');
    expect(answer.status).toBe(500);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'internal', outcome: 'unknown' });
    expect(answer.text).not.toMatch(/fire|\.ts|at /);
    expect(door.log.lines.join()).toContain('the disk is on fire');
    await door.close();
  });
});

describe('a secret', () => {
  let door: TestDoor;
  beforeAll(async () => {
    door = await TestDoor.open({ secret: new Secret('open sesämé') });
  });
  afterAll(() => door.close());
  const bearer = (secret: string): Record<string, string> => ({
    authorization: `Bearer ${Buffer.from(secret).toString('latin1')}`,
  });

  it('lets in who shows it', async () => {
    expect(await door.text(200, 'POST', '/v1/counters/a/increment', '{}', bearer('open sesämé'))).toContain(
      '"value":1',
    );
    const headers = { authorization: bearer('open sesämé').authorization?.replace('Bearer', 'bearer ') ?? '' };
    expect(await door.text(200, 'GET', '/v1/counters/a', undefined, headers)).toContain('"value":1');
  });

  it.each([
    ['POST', '/v1/counters/a/increment'],
    ['GET', '/v1/counters/a'],
    ['GET', '/v1/info'],
    ['GET', '/docs/nowhere'],
    ['GET', '/nowhere'],
    ['PATCH', '/v1/batch'],
  ])('is asked for: %s %s', async (method, path) => {
    const none = await door.send(method, path);
    expect([none.status, none.headers['www-authenticate']]).toEqual([401, 'Bearer']);
    expect(JSON.parse(none.text).code).toBe('unauthorized');
    expect(await door.code(method, path, undefined, { authorization: 'Basic b3Blbg==' })).toBe('unauthorized');
    for (const wrong of ['x', 'open sesäm', 'open sesämé!', 'open sesame']) {
      expect(await door.code(method, path, undefined, bearer(wrong))).toBe('wrong_secret');
    }
  });

  it('is not asked for by probes, nor by the documentation, which a browser opens without it', async () => {
    expect(await door.text(200, 'GET', '/livez')).toContain('ok');
    expect(await door.text(200, 'GET', '/readyz')).toContain('ok');
    for (const path of ['/docs/', '/docs/json', '/docs/static/swagger-ui.css', '/openapi.json']) {
      await door.text(200, 'GET', path);
    }
    const { components, security } = JSON.parse(await door.text(200, 'GET', '/openapi.json')) as Record<
      string,
      unknown
    >;
    expect(components).toMatchObject({ securitySchemes: { secret: { type: 'http', scheme: 'bearer' } } });
    expect(security).toContainEqual({ secret: [] });
  });

  it('is checked before the body is read', async () => {
    const raw = await RawConnection.open(door.port);
    raw.socket.write('POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n[');
    await raw.until('"code":"unauthorized"');
    raw.socket.destroy();
  });
});
