// Who may come in, by the page that asks, by the name that the server is called, and by headers that come twice.

import { afterEach, describe, expect, it } from 'vitest';
import { type DoorOptions, RawConnection, TestDoor } from '../../../test/http/door.ts';
import { Secret } from '../auth/secret.ts';

const opened: TestDoor[] = [];
afterEach(() => Promise.all(opened.splice(0).map((door) => door.close())));

async function open(options: DoorOptions = {}): Promise<TestDoor> {
  const door = await TestDoor.open(options);
  opened.push(door);
  return door;
}

/** What becomes of an increment: `done`, or the code. */
async function update(door: TestDoor, headers: Record<string, string>, method = 'POST'): Promise<string> {
  const path = method === 'POST' ? '/v1/counters/a/increment' : '/v1/counters/a';
  const { status, text } = await door.send(method, path, method === 'PUT' ? '{"value":1}' : '{}', headers);
  return status === 200 ? 'done' : (JSON.parse(text) as { code: string }).code;
}

describe('pages of other origins', () => {
  it('may not update', async () => {
    const door = await open();
    const own = `127.0.0.1:${door.port}`;
    expect(await update(door, { origin: `http://${own}` })).toBe('done');
    expect(await update(door, { origin: `http://localhost:${door.port}`, host: `localhost:${door.port}` })).toBe(
      'done',
    );
    expect(await update(door, { origin: 'http://[::1]:7070', host: '[::1]:7070' })).toBe('done');
    expect(await update(door, {})).toBe('done');
    const others = ['http://evil.example', 'null', `http://127.0.0.1:${door.port + 1}`, 'x', 'http://127.0.0.1'];
    for (const origin of others) expect(await update(door, { origin })).toBe('origin_refused');
    const read = await door.send('GET', '/v1/counters/a', undefined, { origin: 'http://evil.example' });
    expect(read.text).toContain('"value":4');
    expect(read.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('may, where there is a secret that they know and they are our own', async () => {
    const door = await open({ secret: new Secret('s') });
    const own = { host: 'tally.example', authorization: 'Bearer s' };
    expect(await update(door, { ...own, origin: 'https://tally.example' })).toBe('done');
    expect(await update(door, { ...own, origin: 'https://other.example' })).toBe('origin_refused');
  });

  it('may read and count when they are named, and set and delete only when that is named, too', async () => {
    const origin = 'https://app.example';
    const cors = { origins: [origin] };
    const door = await open({ cors });
    expect(await update(door, { origin })).toBe('done');
    expect(await update(door, { origin: 'https://other.example' })).toBe('origin_refused');
    for (const method of ['PUT', 'DELETE']) expect(await update(door, { origin }, method)).toBe('origin_refused');
    expect(await update(door, {}, 'DELETE')).toBe('done');
    const more = await open({ cors: { ...cors, methods: ['GET', 'PUT'] } });
    expect(await update(more, { origin }, 'PUT')).toBe('done');
    expect(await update(more, { origin }, 'POST')).toBe('origin_refused');
    const fewer = await open({ cors: { ...cors, methods: ['POST'] } });
    expect(await fewer.code('GET', '/v1/counters/a', undefined, { origin })).toBe('origin_refused');
  });

  it('are told before they update which methods there are, and with which headers', async () => {
    const origin = 'https://app.example';
    const door = await open({ secret: new Secret('s'), cors: { origins: [origin], methods: ['POST', 'PUT'] } });
    const asked = { 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization' };
    const preflight = await door.send('OPTIONS', '/v1/counters/a', undefined, { origin, ...asked });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'POST, PUT',
      'access-control-allow-headers': 'authorization',
    });
    const refused = await door.send('POST', '/v1/counters/a/increment', '{}', { origin });
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([401, origin]);
    const other = await door.send('OPTIONS', '/v1/counters/a', undefined, { origin: 'https://b.example', ...asked });
    expect(other.headers['access-control-allow-origin']).toBeUndefined();
    expect(other.headers['access-control-allow-credentials']).toBeUndefined();
  });

  it('get the answer that belongs to an OPTIONS that is no preflight', async () => {
    const door = await open({ cors: { origins: ['*'] } });
    expect(await door.code('OPTIONS', '/v1/counters/a')).toBe('method_not_allowed');
    expect(await door.code('OPTIONS', '/v1/counters/a', undefined, { origin: 'https://a.example' })).toBe(
      'method_not_allowed',
    );
    expect(await door.code('OPTIONS', '/nowhere')).toBe('not_found');
  });

  it('count by sendBeacon, as text and as JSON', async () => {
    const origin = 'https://app.example';
    for (const origins of [[origin], ['*'], ['*', origin]]) {
      const door = await open({ cors: { origins } });
      // A beacon always carries cookies. As text it is sent without asking, as JSON only after a preflight that allows
      // them.
      const beacon = { origin, cookie: 'a=1', 'content-type': 'text/plain;charset=UTF-8' };
      expect(await door.text(200, 'POST', '/v1/batch', '[{"name":"beacon","by":2}]', beacon)).toContain('"value":2');
      const asked = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };
      const { headers } = await door.send('OPTIONS', '/v1/batch', undefined, { origin, ...asked });
      const isNamed = origins.includes(origin);
      expect(headers['access-control-allow-origin']).toBe(isNamed ? origin : '*');
      expect(headers['access-control-allow-credentials']).toBe(isNamed ? 'true' : undefined);
      expect(headers['access-control-allow-headers']).toBe('content-type');
    }
  });

  it('see the answer to what they send with credentials when they are named', async () => {
    const origin = 'https://app.example';
    const door = await open({ cors: { origins: ['*', origin] } });
    const answer = await door.send('POST', '/v1/counters/a/increment', '{}', { origin, cookie: 'a=1' });
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      vary: expect.stringContaining('Origin'),
    });
    const other = await door.send('GET', '/v1/counters/a', undefined, { origin: 'https://b.example' });
    expect(other.headers['access-control-allow-origin']).toBe('*');
    expect(other.headers['access-control-allow-credentials']).toBeUndefined();
  });
});

describe('the name that a server is called, without a secret', () => {
  const FOREIGN = [
    'evil.example',
    'evil.example:7070',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'a@b',
    '[::1',
  ];

  it('has to be localhost or an address, for reads too', async () => {
    const door = await open();
    for (const host of [
      'localhost',
      'LOCALHOST:1',
      'a.localhost',
      '127.0.0.1',
      '10.1.2.3:80',
      '[::1]',
      '[fe80::1]:7070',
    ])
      expect(await update(door, { host })).toBe('done');
    for (const host of FOREIGN) {
      expect(await update(door, { host })).toBe('host_refused');
      expect(await update(door, { host, origin: `http://${host}` })).toMatch(/^(host|origin)_refused$/);
      for (const path of ['/v1/counters/a', '/v1/counters', '/v1/info', '/metrics', '/nowhere'])
        expect(await door.code('GET', path, undefined, { host })).toBe('host_refused');
      await door.text(200, 'GET', '/livez', undefined, { host });
    }
  });

  it('may be one that is given, or any', async () => {
    const door = await open({ allowedHosts: ['tally.example'] });
    expect(await update(door, { host: 'Tally.example:7070', origin: 'http://tally.example:7070' })).toBe('done');
    expect(await update(door, { host: 'b.tally.example' })).toBe('host_refused');
    const any = await open({ allowedHosts: ['*'] });
    expect(await update(any, { host: 'evil.example' })).toBe('done');
  });

  it('is not asked for where a secret is', async () => {
    const door = await open({ secret: new Secret('s') });
    expect(await update(door, { host: 'tally.example', authorization: 'Bearer s' })).toBe('done');
  });

  it('counts in the short way, too', async () => {
    const door = await open();
    const raw = await RawConnection.open(door.port);
    const increment = (host: string) =>
      `POST /v1/counters/a/increment HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0\r\n\r\n`;
    raw.socket.write(increment('localhost'));
    await raw.until('"value":1');
    raw.socket.write(increment('evil.example'));
    await raw.until('"code":"host_refused"');
    raw.socket.destroy();
  });
});

describe('a header that has one value', () => {
  it.each([
    ['idempotency-key', 'a', 'b'],
    ['Idempotency-Key', 'a', 'a'],
    ['tallyd-import-chunk', 'a', 'b'],
    ['tallyd-session', 'a', 'b'],
    ['authorization', 'Bearer s', 'Bearer s'],
    ['content-type', 'application/json', 'application/x-ndjson'],
    ['content-encoding', 'identity', 'identity'],
    ['origin', 'http://localhost', 'http://localhost'],
    ['host', 'localhost', 'localhost'],
  ])('is refused when it comes twice: %s', async (name, first, second) => {
    const door = await open();
    const raw = await RawConnection.open(door.port);
    const host = name === 'host' ? '' : 'host: localhost\r\n';
    raw.socket.write(
      `POST /v1/batch HTTP/1.1\r\n${host}${name}: ${first}\r\naccept: a\r\n${name.toUpperCase()}: ${second}\r\n` +
        'content-length: 14\r\nconnection: close\r\n\r\n[{"name":"a"}]',
    );
    const answer = await raw.rest();
    expect(answer).toContain('HTTP/1.1 400 ');
    expect(answer).toContain(`the header ${name.toLowerCase()} is there twice`);
    expect(await door.text(200, 'GET', '/v1/counters/a')).toContain('"exists":false');
  });

  it('is no list, and a list may come in parts', async () => {
    const door = await open();
    await door.text(200, 'PUT', '/v1/counters/a', '{"value":5}');
    const raw = await RawConnection.open(door.port);
    raw.socket.write(
      'DELETE /v1/counters/a HTTP/1.1\r\nhost: localhost\r\nif-match: "4"\r\nif-match: "5"\r\nconnection: close\r\n\r\n',
    );
    expect(await raw.rest()).toContain('"deleted":true');
  });
});
