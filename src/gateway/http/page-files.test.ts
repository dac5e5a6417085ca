import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RawConnection, TestDoor } from '../../../test/http/door.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open();
});
afterAll(() => door.close());

const PATH = '/docs/static/swagger-ui-bundle.js';

it('a file of the page is sent whole, or not at all to who has it', async () => {
  const { status, headers, bytes } = await door.send('GET', PATH);
  expect([status, headers['content-length']]).toEqual([200, `${bytes.length}`]);
  const { headers: head, bytes: none } = await door.send('HEAD', PATH);
  expect([head['content-length'], head.etag, none.length]).toEqual([`${bytes.length}`, headers.etag, 0]);
  const again = await door.send('GET', PATH, undefined, { 'if-none-match': headers.etag ?? '' });
  expect([again.status, again.bytes.length]).toEqual([304, 0]);
  expect(await door.code('GET', '/docs/static/package.json')).toBe('not_found');
});

it.runIf(process.platform === 'linux')('who does not read it holds no descriptor', async () => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const clients = await Promise.all(Array.from({ length: 50 }, () => RawConnection.open(door.port)));
  await door.text(200, 'GET', '/livez');
  const before = descriptors();
  for (const { socket } of clients) {
    socket.pause();
    socket.write(`GET ${PATH} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(20));
  }
  for (let asked = 0; asked < 3; asked++) await door.text(200, 'GET', PATH);
  expect(descriptors()).toBeLessThan(before + 10);
  for (const { socket } of clients) socket.destroy();
});
