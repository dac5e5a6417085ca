import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type DoorOptions, HeldService, MovedClock, RawConnection, TestDoor } from '../../../test/http/door.ts';
import type { Chunk } from '../../counter/chunk.ts';
import { ERRORS, type ErrorCode } from '../../counter/errors.ts';
import type { ScanPage } from '../../counter/service.ts';
import { NodeClock } from '../../host/node/clock.ts';
import { HttpGateway } from './gateway.ts';

let door: TestDoor;
let service: HeldService;
const open = async (options: DoorOptions = {}): Promise<void> => {
  service = new HeldService();
  door = await TestDoor.open({ service, ...options });
};
afterEach(() => door.close(0));

const INCREMENT = 'POST /v1/counters/a/increment HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n';
const filled = (value: number) => (chunk: Chunk) => {
  chunk.value[0] = value;
  chunk.other[0] = 1;
};

describe('an answer', () => {
  it('waits for the completion', async () => {
    await open();
    const raw = await RawConnection.open(door.port);
    raw.socket.write(INCREMENT);
    await service.holding(1);
    expect(await door.text(200, 'GET', '/livez')).toContain('ok');
    expect(raw.text).toBe('');
    service.complete(filled(5));
    await raw.until('{"name":"a","value":5,"applied":1}');
    raw.socket.destroy();
  });

  const refusals: [ErrorCode, number, string | undefined][] = [
    ['unavailable', 503, '1'],
    ['overloaded', 429, '1'],
    ['shutting_down', 503, '1'],
    ['outcome_unknown', 500, undefined],
    ['idempotency_full', 429, '8'],
    ['too_many_counters', 507, undefined],
  ];
  it.each(refusals)('of a chunk that was refused: %s', async (code, status, retryAfter) => {
    await open();
    for (const path of ['/v1/counters/a/increment', '/v1/batch']) {
      const asked = door.send('POST', path, path === '/v1/batch' ? '[{"name":"a"}]' : undefined);
      await service.holding(1);
      service.complete((chunk) => {
        chunk.refusal = ERRORS[code].id;
        if (code === 'idempotency_full') chunk.retryAfterMs = 7001;
      });
      const answer = await asked;
      expect(JSON.parse(answer.text)).toMatchObject({ code, status, outcome: ERRORS[code].outcome });
      expect([answer.status, answer.headers['retry-after']]).toEqual([status, retryAfter]);
    }
  });

  it("of a post's update tells when it was applied, not when it was answered", async () => {
    await open();
    const asked = door.send('PUT', '/v1/a/likes', '{"action":"increment"}');
    await service.holding(1);
    service.complete((chunk) => {
      chunk.appliedAtMs = 1_900_000_000_999;
      chunk.value[0] = 8;
    });
    expect((await asked).text).toBe('{"count":8,"updated_at":"2030-03-17T17:46:40Z"}');
  });

  it('that cannot be rendered does not reach the service as an error', async () => {
    await open();
    const asked = door.send('GET', '/v1/a/likes');
    await service.holding(1);
    service.complete((chunk) => {
      Object.defineProperty(chunk, 'updatedAt', { get: () => expect.fail('broken') });
    });
    expect(JSON.parse((await asked).text)).toMatchObject({ code: 'internal', outcome: 'unknown' });
    expect(door.log.lines.join()).toContain('an answer could not be rendered');
  });

  it('to a client that has gone is nothing to worry about', async () => {
    await open();
    const raw = await RawConnection.open(door.port);
    raw.socket.write(INCREMENT);
    await service.holding(1);
    raw.socket.destroy();
    await raw.rest();
    service.complete(filled(1));
    const asked = door.send('POST', '/v1/counters/b/increment');
    await service.holding(1);
    service.complete(filled(2));
    expect((await asked).text).toContain('{"name":"b","value":2');
    expect(door.log.lines).toEqual([]);
  });
});

describe('a time limit', () => {
  it('answers for the disk when it does not, and the late completion harms nobody', async () => {
    const clock = new MovedClock();
    await open({ clock });
    const late = door.send('POST', '/v1/counters/late/increment');
    await service.holding(1);
    clock.move(20_000);
    const second = door.send('POST', '/v1/counters/second/increment');
    await service.holding(2);
    clock.move(15_000);
    const answer = await late;
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'timeout', outcome: 'unknown' });
    service.complete(filled(1));
    const third = door.send('POST', '/v1/counters/third/increment');
    await service.holding(2);
    service.complete(filled(2));
    service.complete(filled(3));
    expect((await second).text).toContain('{"name":"second","value":2');
    expect((await third).text).toContain('{"name":"third","value":3');
  });
});

describe('a listing', () => {
  it('has the same time limit and the same bounds', async () => {
    const clock = new MovedClock();
    await open({ clock, limits: { requestsUnderWayMax: 1 } });
    let finish: (page: ScanPage) => void = () => undefined;
    service.page = new Promise((resolve) => {
      finish = resolve;
    });
    const waiting = door.send('GET', '/v1/counters');
    await service.scanning();
    expect(await door.code('GET', '/v1/counters/a')).toBe('overloaded');
    expect(await door.code('GET', '/v1/counters')).toBe('overloaded');
    clock.move(40_000);
    expect(JSON.parse((await waiting).text).code).toBe('timeout');
    finish({ entries: [], cursor: undefined });
    expect(await door.text(200, 'GET', '/v1/counters')).toBe('{"counters":[],"cursor":null}');
  });
});

describe('what is under way is bounded', () => {
  it('in commands, a timed out one included', async () => {
    const clock = new MovedClock();
    await open({ clock, limits: { commandsUnderWayMax: 3 } });
    const two = door.send('POST', '/v1/batch', '[{"name":"a"},{"name":"b"}]');
    await service.holding(1);
    const refused = await door.send('POST', '/v1/batch', '[{"name":"a"},{"name":"b"}]');
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '1']);
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'overloaded', outcome: 'refused' });
    clock.move(40_000);
    expect((await two).status).toBe(504);
    expect(await door.code('POST', '/v1/batch', '[{"name":"a"},{"name":"b"}]')).toBe('overloaded');
    service.complete();
    const again = door.send('POST', '/v1/batch', '[{"name":"a"},{"name":"b"},{"name":"c"}]');
    await service.holding(1);
    service.complete();
    expect((await again).status).toBe(200);
  });

  it('in requests', async () => {
    await open({ limits: { requestsUnderWayMax: 2 } });
    const asked = [door.send('GET', '/v1/counters/a'), door.send('GET', '/v1/counters/b')];
    await service.holding(2);
    expect(await door.code('GET', '/v1/counters/a')).toBe('overloaded');
    service.complete();
    service.complete();
    for (const answer of await Promise.all(asked)) expect(answer.status).toBe(200);
  });

  it('in bytes of large bodies that are arriving', async () => {
    await open({ limits: { bodyBytesArrivingMax: 300_000 } });
    const raw = await RawConnection.open(door.port);
    const head = 'POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 250001\r\n\r\n';
    raw.socket.write(head + ' '.repeat(250_000));
    while ((await door.code('POST', '/v1/batch', ' '.repeat(200_000))) !== 'overloaded');
    expect(await door.code('POST', '/v1/batch', ' '.repeat(60_000))).toBe('invalid_body');
    // The client goes, and its bytes with it.
    raw.socket.destroy();
    while ((await door.code('POST', '/v1/batch', ' '.repeat(200_000))) !== 'invalid_body');
  });
});

describe('a client that does not go on', () => {
  const limits = { headersTimeoutMs: 150, receiveTimeoutMs: 300, keepAliveTimeoutMs: 100, silenceTimeoutMs: 400 };

  it.each([
    ['before its first byte', ''],
    ['in its headers', 'POST /v1/batch HTTP/1.1\r\nhost: x\r\nx-slow: '],
  ])('%s is told so and cut off', async (_, bytes) => {
    await open({ limits });
    const raw = await RawConnection.open(door.port);
    raw.socket.write(bytes);
    expect(await raw.rest()).toContain('"code":"request_timeout"');
    expect(service.chunks).toEqual([]);
  });

  it('in its body is told so and cut off, and nothing of it counts', async () => {
    await open({ limits: { ...limits, silenceTimeoutMs: 20_000 } });
    const raw = await RawConnection.open(door.port);
    raw.socket.write('POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[{"name":"a"}');
    expect(await raw.rest()).toContain('"code":"request_timeout"');
    expect(service.chunks).toEqual([]);
  });

  it('drop by drop is cut off too', async () => {
    await open({ limits });
    const raw = await RawConnection.open(door.port);
    raw.socket.write('POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n');
    const drops = setInterval(() => raw.socket.write(' '), 20);
    await raw.rest();
    clearInterval(drops);
  });

  it.each(['GET /livez HTTP/1.1\r\nhost: x\r\n\r\n', INCREMENT])('between two requests is let go: %j', async (text) => {
    await open({ limits });
    const raw = await RawConnection.open(door.port);
    raw.socket.write(text);
    if (text === INCREMENT) {
      await service.holding(1);
      service.complete();
    }
    expect(await raw.rest()).toContain('200 OK');
  });

  it('in reading its answer is cut off', async () => {
    await open({ limits: { ...limits, receiveTimeoutMs: 30_000 } });
    const raw = await RawConnection.open(door.port);
    raw.socket.pause();
    const name = 'x'.repeat(250);
    const body = JSON.stringify(Array.from({ length: 10_000 }, () => ({ name })));
    const head = `POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`;
    for (let i = 0; i < 8; i++) raw.socket.write(head + body);
    const ticks = setInterval(() => {
      while (service.chunks.length > 0) service.complete();
      // Paused, the client learns of the end only by writing.
      raw.socket.write(' ');
    }, 20);
    await raw.rest();
    clearInterval(ticks);
  });
});

describe('closing', () => {
  it('answers what was accepted, refuses what comes, and lets idle connections go', async () => {
    await open();
    const fresh = await RawConnection.open(door.port);
    const idle = await RawConnection.open(door.port);
    idle.socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    await idle.until('{"status":"ok"}');
    const busy = await RawConnection.open(door.port);
    busy.socket.write(INCREMENT);
    await service.holding(1);
    const closed = door.gateway.close(10_000);
    await Promise.all([fresh.rest(), idle.rest()]);
    busy.socket.write(INCREMENT);
    await expect(RawConnection.open(door.port)).rejects.toThrow('ECONNREFUSED');
    service.complete(filled(7));
    const answers = (await busy.rest()).split('HTTP/1.1 ').slice(1);
    expect(answers).toHaveLength(1);
    expect(answers[0]).toContain('"value":7');
    expect(answers[0]).toMatch(/connection: close/i);
    await closed;
    expect(service.chunks).toEqual([]);
  });

  it('tells a request that comes on an open connection to go elsewhere', async () => {
    await open();
    const raw = await RawConnection.open(door.port);
    raw.socket.write('POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n[');
    await door.text(200, 'GET', '/livez');
    const closed = door.gateway.close(10_000);
    raw.socket.write('{"name":"end"}]');
    await service.holding(1);
    raw.socket.write(INCREMENT);
    service.complete(filled(1));
    const text = await raw.rest();
    expect(text).toContain('"name":"end"');
    await closed;
    expect(service.chunks).toEqual([]);
  });

  it('does not wait for a client that sent no HTTP and keeps its end open', async () => {
    await open();
    const socket = connect({ host: '127.0.0.1', port: door.port, allowHalfOpen: true });
    socket.on('error', () => socket.destroy());
    socket.write('what is this\r\n\r\n');
    await once(socket.resume(), 'end');
    await door.gateway.close(600_000);
    socket.destroy();
  });

  it('cuts off what is not done at the time limit', async () => {
    await open();
    const raw = await RawConnection.open(door.port);
    raw.socket.write(INCREMENT);
    await service.holding(1);
    await door.gateway.close(50);
    expect(await raw.rest()).toBe('');
  });

  it('readiness ends with the service', async () => {
    await open();
    service.state = 'failing';
    expect(await door.code('GET', '/readyz')).toBe('unavailable');
    service.state = 'closing';
    expect(await door.code('GET', '/readyz')).toBe('shutting_down');
    expect(await door.text(200, 'GET', '/livez')).toContain('ok');
    expect(await door.text(200, 'GET', '/v1/info')).toContain('"sequence":1152921504606846976');
  });
});

it('a door that cannot listen says why, and leaves nothing behind', async () => {
  await open();
  const options = { service, clock: new NodeClock(), host: '127.0.0.1', log: door.log, version: '1' };
  await expect(HttpGateway.open({ ...options, port: door.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
