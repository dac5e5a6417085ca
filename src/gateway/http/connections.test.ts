// The answers of a connection leave in order, each once, whatever the client sends ahead, and on either way.

import { afterEach, describe, expect, it } from 'vitest';
import { type DoorOptions, HeldService, RawConnection, TestDoor } from '../../../test/http/door.ts';
import { fc } from '../../../test/property.ts';
import type { Chunk } from '../../counter/chunk.ts';

let door: TestDoor;
let service: HeldService;
let raw: RawConnection;
afterEach(async () => {
  raw.socket.destroy();
  await door.close(0);
});

const LIVE = 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n';
const increment = (name: string, more = '', version = '1.1'): string =>
  `POST /v1/counters/${name}/increment HTTP/${version}\r\nhost: x\r\n${more}content-length: 0\r\n\r\n`;
const filled = (value: number) => (chunk: Chunk) => {
  chunk.value[0] = value;
};
/** Lets the door look at what has been sent. */
const looked = (): Promise<string> => door.text(200, 'GET', '/livez');
const answersOf = (text: string): string[] =>
  text
    .split('HTTP/1.1 ')
    .slice(1)
    .map((answer) => /"(?:code|value)":"?([a-z_]+|\d+)|"status":"(ok)"/.exec(answer)?.slice(1).join('') ?? answer);

describe.each([
  ['plain', ''],
  ['general', LIVE],
])('on a %s connection', (_, before) => {
  const open = async (options: DoorOptions = {}): Promise<void> => {
    service = new HeldService();
    door = await TestDoor.open({ service, ...options });
    raw = await RawConnection.open(door.port);
    if (before === '') return;
    raw.socket.write(before);
    await raw.until('{"status":"ok"}');
    raw.text = '';
  };

  it.each([
    ['a zero byte', '\0', 'invalid_request'],
    ['a space', ' x', 'invalid_request'],
    ['what is no HTTP', 'what is this\r\n\r\n', 'invalid_request'],
    ['too long a header', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 'headers_too_large'],
    ['a request that is refused', increment('b', 'host: y\r\n'), 'invalid_request'],
  ])('a refusal comes behind the answers that are due: %s', async (_what, junk, code) => {
    await open();
    raw.socket.write(increment('a') + junk);
    await service.holding(1);
    await looked();
    expect(raw.text).toBe('');
    service.complete(filled(5));
    raw.socket.end();
    expect(answersOf(await raw.rest())).toEqual(['5', code]);
    expect(service.chunks).toEqual([]);
  });

  it.each([
    ['Connection: close', increment('a', 'connection: close\r\n'), '5'],
    ['HTTP/1.0', increment('a', '', '1.0'), '5'],
    ['a refusal', `GET /v1/counters?x=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`, 'invalid_query'],
    ['too large a body', 'POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n', 'body_too_large'],
  ])('what follows the last request is neither carried out nor answered: %s', async (_what, last, answer) => {
    await open();
    raw.socket.write(last + increment('b') + increment('c'));
    if (answer === '5') {
      await service.holding(1);
      await looked();
      service.complete(filled(5));
    }
    expect(answersOf(await raw.rest())).toEqual([answer]);
    await looked();
    expect(service.chunks).toEqual([]);
  });

  it('requests that are sent ahead are carried out one by one, in their order', async () => {
    await open();
    raw.socket.write([1, 2, 3].map((name) => increment(`${name}`)).join('') + LIVE);
    for (let value = 1; value <= 3; value++) {
      await service.holding(1);
      await looked();
      expect(service.chunks).toHaveLength(1);
      service.complete(filled(value));
    }
    await raw.until('ok');
    expect(answersOf(raw.text)).toEqual(['1', '2', '3', 'ok']);
  });

  it('a client that closes its half gets the answers that are due', async () => {
    await open();
    raw.socket.end(increment('a') + increment('b'));
    for (const value of [1, 2]) {
      await service.holding(1);
      await looked();
      service.complete(filled(value));
    }
    expect(answersOf(await raw.rest())).toEqual(['1', '2']);
  });

  it('a client that closes its half in the middle of a request is told so, once', async () => {
    await open();
    raw.socket.end('POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[{"name":"a"}');
    expect(answersOf(await raw.rest())).toEqual(['invalid_request']);
    expect(service.chunks).toEqual([]);
  });
});

it('a request that is refused before its body has come gets no second answer when the body never does', async () => {
  service = new HeldService();
  door = await TestDoor.open({ service, limits: { receiveTimeoutMs: 200, headersTimeoutMs: 200 } });
  raw = await RawConnection.open(door.port);
  raw.socket.write('POST /v1/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n');
  expect(answersOf(await raw.rest())).toEqual(['not_found']);
});

/** Answers each update with its name, now or a little later, and remembers the names. */
class NamingService extends HeldService {
  readonly counted: string[] = [];

  override submit(chunk: Chunk): void {
    const name = Buffer.from(chunk.names.subarray(chunk.nameStart[0], chunk.nameStart[0] + chunk.nameLength[0]));
    this.counted.push(name.toString('latin1'));
    chunk.code[0] = 0;
    if (name.length % 2 === 0) setImmediate(() => chunk.complete());
    else chunk.complete();
  }
}

it('what is counted is answered, once and in order, whatever comes and however it is cut', async () => {
  const naming = new NamingService();
  service = naming;
  door = await TestDoor.open({ service });
  const body = fc.constantFrom('', '{}', '{"by":2}', '{"by":1.5}', '{"by"');
  const more = fc.constantFrom('', '', 'x: y\r\n', 'connection: close\r\n', 'host: z\r\n');
  const plain = fc.tuple(fc.stringMatching(/^[a-z]{1,6}$/), body, more, fc.constantFrom('1.1', '1.1', '1.0'));
  const request = fc.oneof(
    plain.map(([name, text, field, version]) =>
      increment(name, field, version).replace(
        /content-length: 0\r\n\r\n$/,
        `content-length: ${text.length}\r\n\r\n${text}`,
      ),
    ),
    plain.map(([name, text, field]) => {
      const chunk = text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`;
      return increment(name, `${field}transfer-encoding: chunked\r\n`).replace(
        /content-length: 0\r\n\r\n$/,
        `\r\n${chunk}0\r\n\r\n`,
      );
    }),
    fc.constantFrom(LIVE, '\r\n', '\0', 'GET / HTTP/1.1\r\n\r\n'),
  );
  const damage = fc.record({ at: fc.nat(), put: fc.constantFrom(...' \r\n\0:0x'), removed: fc.nat({ max: 2 }) });
  const cuts = fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 6 }), fc.option(damage), cuts, async (requests, harm, sizes) => {
      let text = requests.join('');
      if (harm !== null) {
        const at = harm.at % (text.length + 1);
        text = text.slice(0, at) + harm.put + text.slice(at + harm.removed);
      }
      const from = naming.counted.length;
      raw = await RawConnection.open(door.port);
      for (const size of sizes) {
        raw.socket.write(text.slice(0, size), 'latin1');
        text = text.slice(size);
        await looked();
      }
      raw.socket.end(Buffer.from(text, 'latin1'));
      const names = [...(await raw.rest()).matchAll(/"name":"([^"]+)"/g)].map(([, name]) => name);
      expect(names).toEqual(naming.counted.slice(from));
    }),
    { numRuns: 400 },
  );
});
