// The short way of plain increments against the long way through Node and Fastify: the same bytes on a connection that
// has never sent anything else, and on one that has left the short way, must be answered with the same bytes.

import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { type DoorOptions, HeldService, MovedClock, RawConnection, TestDoor } from '../../../test/http/door.ts';
import { fc } from '../../../test/property.ts';
import type { Chunk } from '../../counter/chunk.ts';
import { ERRORS } from '../../counter/errors.ts';
import { INT64_MIN, readInt64, writeInt64 } from '../../counter/int64.ts';
import { Secret } from '../auth/secret.ts';

let door: TestDoor;
let service: TellingService;

/** Answers by the counter's name, at once or a little later, and remembers what it was asked. */
class TellingService extends HeldService {
  readonly asked: (readonly [name: string, amount: bigint])[] = [];
  /** How many commands came the short way: their names lie in what the connection delivered. */
  plain = 0;

  override submit(chunk: Chunk): void {
    const name = Buffer.from(chunk.names.subarray(chunk.nameStart[0], chunk.nameStart[0] + chunk.nameLength[0]));
    this.asked.push([name.toString('latin1'), readInt64(chunk.amount, 0)]);
    if (Buffer.isBuffer(chunk.names)) this.plain++;
    chunk.refusal = name.includes('chunk') ? ERRORS.idempotency_full.id : 0;
    chunk.retryAfterMs = name.includes('chunk') ? 7001 : 0;
    chunk.code[0] = name.includes('over') ? ERRORS.overflow.id : 0;
    writeInt64(chunk.value, 0, name.includes('least') ? INT64_MIN : BigInt(name.length));
    writeInt64(chunk.other, 0, readInt64(chunk.amount, 0));
    if (name.includes('later')) setImmediate(() => chunk.complete());
    else chunk.complete();
  }
}

const open = async (options: DoorOptions = {}): Promise<void> => {
  service = new TellingService();
  door = await TestDoor.open({ service, ...options });
};
afterEach(() => door.close(0));

const LAST = 'GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
const OTHER = 'GET /livez HTTP/1.1\r\nhost: x\r\nauthorization: Bearer open-sesame\r\n\r\n';
const increment = (name: string, body = '', more = ''): string =>
  `POST /v1/counters/${name}/increment HTTP/1.1\r\nhost: x\r\n${more}content-length: ${body.length}\r\n\r\n${body}`;

/** What comes for these bytes, without the time, and what the service was asked for them. */
async function pending(bytes: Buffer, before: string): Promise<{ text: string; asked: unknown[]; plain: number }> {
  const raw = await RawConnection.open(door.port);
  if (before !== '') {
    raw.socket.write(before);
    await raw.until('{"status":"ok"}');
    raw.text = '';
  }
  const { length } = service.asked;
  const plainBefore = service.plain;
  raw.socket.write(bytes);
  // By then the door has looked at it.
  await door.text(200, 'GET', '/livez');
  if (raw.socket.writable) raw.socket.write(LAST);
  const text = (await raw.rest()).replaceAll(/^Date: .*$/gm, 'Date: now');
  return { text, asked: service.asked.slice(length), plain: service.plain - plainBefore };
}

/** Sends it both ways. @returns whether the short one was taken. */
async function compare(text: string | Buffer): Promise<boolean> {
  const bytes = Buffer.from(text as string, 'latin1');
  const short = await pending(bytes, '');
  const long = await pending(bytes, OTHER);
  expect(long.plain).toBe(0);
  expect([short.text, short.asked]).toEqual([long.text, long.asked]);
  expect(short.text).toMatch(/^HTTP\/1\.1 \d/);
  return short.plain > 0;
}

describe('the short way', () => {
  it.each([
    ...[increment('a'), increment('key:000000000042', '{"by":1}'), increment('a', '{}'), increment('..')],
    ...[
      increment('a', '{"by":-999999999999999}'),
      increment('a', '{"by": 0}'),
      increment(`A-z_0.9~${'x'.repeat(247)}`),
    ],
    ...[increment('over'), increment('chunk'), increment('least'), increment('later')],
    increment('a', '{"by":5}', 'Content-Type: application/json; charset=utf-8\r\nConnection: Keep-Alive\r\n'),
    increment('a', '{"by":5}', 'user-agent: curl/8.0 (x; y)\r\naccept: */*\r\nauthorization: Bearer x\r\n'),
    increment(
      'a',
      '',
      'accept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n',
    ),
    increment('a').replace('content-length: 0\r\n', ''),
  ])('is taken, and answers the same: %j', async (text) => {
    await open();
    expect(await compare(text)).toBe(true);
  });

  it.each([
    ...[increment('a%20b'), increment('a', '', 'origin: http://x\r\n'), increment('a', '', 'idempotency-key: k\r\n')],
    ...[increment('a?numbers=string'), increment('a/b'), increment(''), increment('x'.repeat(256)), increment('a;b')],
    ...[
      increment('a', '{"by":1.0}'),
      increment('a', '{"by":1e3}'),
      increment('a', '{"by":"1"}'),
      increment('a', ' {}'),
    ],
    ...[increment('a', '{"by":-0}'), increment('a', '{"by":01}'), increment('a', '{"by":1000000000000000}')],
    ...[increment('a', '{"by":1,"by":1}'), increment('a', '{"floor":0}'), increment('a', '{"by":true}')],
    ...[increment('a', '{"by":}'), increment('a', '{'), increment('a', '[]'), increment('a', '{"by":1}x')],
    ...[
      increment('a', '', 'host: y\r\n'),
      increment('a', '', 'connection: close\r\n'),
      increment('a', '', ' x: y\r\n'),
    ],
    ...[increment('a', '', 'expect: 100-continue\r\n'), increment('a', '', 'x-unknown: 1\r\n')],
    ...[increment('a', '', 'content-length: 0\r\n'), increment('a', '', 'content-encoding: gzip\r\n')],
    ...[
      increment('a', '', 'content-type: nothing\r\n'),
      increment('a', '', 'accept:\r\n'),
      increment('a', '', ': x\r\n'),
    ],
    ...[
      increment('a', '', 'constructor: x\r\n'),
      increment('a', '', 'accept : x\r\n'),
      increment('a', '', 'accept: \x80\r\n'),
    ],
    ...[
      increment('a').replace('host: x\r\n', ''),
      increment('a').replace('HTTP/1.1', 'HTTP/1.0'),
      `\r\n${increment('a')}`,
    ],
    ...[
      increment('a').replace('POST', 'PUT'),
      increment('a').replace('increment', 'decrement'),
      increment('a').toLowerCase(),
    ],
    ...[increment('a').repeat(2), increment('a') + OTHER, increment('a').replaceAll('\r\n', '\n'), 'what\r\n\r\n'],
    increment('a', '', 'transfer-encoding: chunked\r\n'),
    increment('a', '5\r\n{"by"\r\n3\r\n:2}\r\n0\r\n\r\n', 'transfer-encoding: chunked\r\n').replace(
      /content-length.*\r\n/,
      '',
    ),
    increment('a', '', `accept: ${'x'.repeat(3_000)}\r\n`),
    increment('a', '', `accept: ${'x'.repeat(20_000)}\r\n`),
  ])('is not taken, and answers the same: %j', async (text) => {
    await open();
    expect(await compare(text)).toBe(false);
  });

  it('answers the same whatever is changed in a request', async () => {
    await open();
    const request = fc
      .record({
        name: fc.constantFrom('a', 'key:1', 'over', 'later', 'chunk', 'a%62', 'é', 'x'.repeat(255)),
        body: fc.oneof(
          fc.integer().map((by) => `{"by":${by}}`),
          fc.constantFrom(
            '',
            '{}',
            '{"by": 2}',
            '{"by":"3"}',
            '{"by":1.5}',
            '{"by":1,"ceiling":9}',
            '{"x":1}',
            '{"by":',
          ),
        ),
        more: fc.constantFrom('', '', 'accept: */*\r\n', 'x-odd: 1\r\n', 'connection: close\r\n', 'origin: null\r\n'),
      })
      .map(({ name, body, more }) => increment(name, body, more));
    const damage = fc.record({
      at: fc.nat(),
      removed: fc.nat({ max: 2 }),
      put: fc.constantFrom(
        '',
        '\r',
        '\n',
        '\r\n',
        ' ',
        '\t',
        ':',
        '/',
        '?',
        '%',
        '{',
        '}',
        '"',
        '0',
        '\0',
        '\x80',
        'A',
      ),
    });
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(request, fc.option(damage, { freq: 1 }), async (text, harm) => {
        const at = harm === null ? 0 : harm.at % text.length;
        const harmed = harm === null ? text : text.slice(0, at) + harm.put + text.slice(at + harm.removed);
        if (await compare(Buffer.from(harmed, 'latin1'))) taken++;
      }),
      { numRuns: 300 },
    );
    expect(taken).toBeGreaterThan(30);
  });
});

it('the short way is for those who may come in', async () => {
  await open({ secret: new Secret('open-sesame') });
  const as = (secret: string): string => increment('a', '', `authorization: ${secret}\r\n`);
  expect(await compare(as('Bearer open-sesame'))).toBe(true);
  expect(await compare(as('Bearer open-sesame'))).toBe(true);
  for (const wrong of ['Bearer open-sesam', 'Basic open-sesame', 'Bearer'])
    expect(await compare(as(wrong))).toBe(false);
  expect(await compare(increment('a'))).toBe(false);
});

it('pages of other origins are told so by Fastify', async () => {
  await open({ cors: { origins: ['https://example.org'] } });
  expect(await compare(increment('a'))).toBe(false);
  expect(service.asked).toHaveLength(2);
});

describe('a connection on the short way', () => {
  let held: HeldService;
  let raw: RawConnection;
  const hold = async (options: DoorOptions = {}): Promise<void> => {
    held = new HeldService();
    door = await TestDoor.open({ service: held, ...options });
    raw = await RawConnection.open(door.port);
  };
  afterEach(() => raw.socket.destroy());
  const filled = (value: number) => (chunk: Chunk) => {
    chunk.value[0] = value;
  };

  it('may leave the short way in the middle, and everything is answered in order', async () => {
    await hold();
    const complete = async (value: number): Promise<void> => {
      await held.holding(1);
      held.complete((chunk) => {
        chunk.value[0] = value;
      });
      await raw.until(`"value":${value},`);
    };
    for (const value of [1, 2]) {
      raw.socket.write(increment('a'));
      await complete(value);
    }
    raw.socket.write(increment('b'));
    await held.holding(1);
    // What comes before the answer: another plain one, others, and one in two pieces.
    const [begin, end] = [increment('d', '{"by":6}').slice(0, 50), increment('d', '{"by":6}').slice(50)];
    for (const text of [increment('c'), OTHER, increment('c', '{"by":1.5}'), begin]) {
      raw.socket.write(text);
      await door.text(200, 'GET', '/livez');
    }
    for (const value of [3, 4]) await complete(value);
    raw.socket.write(end);
    await complete(5);
    expect([...raw.text.matchAll(/"(?:name|status|code)":"(\w+)"/g)].map(([, told]) => told)).toEqual([
      ...['a', 'a', 'b', 'c', 'ok', 'invalid_number', 'd'],
    ]);
  });

  it('that got no answer in time gets the next one', async () => {
    const clock = new MovedClock();
    await hold({ clock });
    raw.socket.write(increment('a'));
    await held.holding(1);
    clock.move(40_000);
    await raw.until('"code":"timeout"');
    raw.socket.write(increment('a'));
    await held.holding(2);
    held.complete(filled(1));
    held.complete(filled(2));
    await raw.until('"value":2');
    expect(raw.text).not.toContain('"value":1');
  });

  it('is told each time that too much is under way', async () => {
    await hold({ limits: { commandsUnderWayMax: 0 } });
    for (let answers = 1; answers < 4; answers++) {
      raw.socket.write(increment('a'));
      while (raw.text.split('"code":"overloaded"').length <= answers) await once(raw.socket, 'data');
    }
    expect(raw.text.match(/retry-after: 1\r\n/g)).toHaveLength(3);
    expect(held.chunks).toEqual([]);
  });

  it('that waits for a disk longer than it may be idle gets its answer', async () => {
    await hold({ limits: { keepAliveTimeoutMs: 1, headersTimeoutMs: 500 } });
    raw.socket.write(increment('a'));
    await held.holding(1);
    await new Promise((resolve) => setTimeout(resolve, 700));
    held.complete(filled(5));
    await raw.until('"value":5');
    // Then it is idle.
    await raw.rest();
  });

  it('closes with the door when it is idle', async () => {
    await hold();
    raw.socket.write(increment('a'));
    await held.holding(1);
    held.complete(filled(1));
    await raw.until('"value":1');
    const closed = door.gateway.close(600_000);
    await raw.rest();
    await closed;
  });

  it('closes with its answer when the door does, whatever it has sent behind it', async () => {
    await hold();
    raw.socket.write(increment('a'));
    await held.holding(1);
    raw.socket.write(increment('b'));
    await door.text(200, 'GET', '/livez');
    const closed = door.gateway.close(10_000);
    held.complete(filled(1));
    const text = await raw.rest();
    expect(text.split('HTTP/1.1 ').slice(1)).toHaveLength(1);
    expect(text).toContain('\r\nconnection: close\r\n');
    expect(text).not.toContain('Keep-Alive');
    await closed;
    expect(held.chunks).toEqual([]);
  });
});
