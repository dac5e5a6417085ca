// Calls over real sockets: what a failing connection proves about an update, and what it leaves open.

import { createServer, type Server, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { RefusedError, TallydClient, UnknownOutcomeError } from './client.ts';

async function failureOf(call: Promise<unknown>): Promise<RefusedError | UnknownOutcomeError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof RefusedError || outcome instanceof UnknownOutcomeError) return outcome;
  throw new Error('expected a refused or unknown outcome', { cause: outcome });
}

/** A server that treats every connection the same way. */
async function listening(onSocket: (socket: Socket) => void): Promise<{ server: Server; url: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { server, url: `http://127.0.0.1:${port}` };
}

it('a closed port is unreachable, not unknown', async () => {
  const { server, url } = await listening(() => {});
  await new Promise((resolve) => server.close(resolve));
  const error = await failureOf(new TallydClient({ url, timeoutMs: 1_000 }).increment('a'));
  expect([error.name, error.code]).toEqual(['RefusedError', 'unreachable']);
});

it('a port that fetch does not connect to is unreachable', async () => {
  const error = await failureOf(new TallydClient({ url: 'http://127.0.0.1:6000', timeoutMs: 1_000 }).increment('a'));
  expect([error.name, error.code]).toEqual(['RefusedError', 'unreachable']);
});

it('a name that does not resolve is unreachable', async () => {
  const error = await failureOf(new TallydClient({ url: 'http://tallyd.invalid', timeoutMs: 1_000 }).increment('a'));
  expect(error.code === 'unreachable' || error.code === 'timeout').toBe(true);
});

it('a server that takes the request and hangs up leaves the update unknown', async () => {
  const { server, url } = await listening((socket) => socket.once('data', () => socket.destroy()));
  const error = await failureOf(new TallydClient({ url, timeoutMs: 1_000 }).increment('a'));
  expect(error.name).toBe('UnknownOutcomeError');
  server.close();
});

it('a server that stops in the middle of its answer leaves the update unknown', async () => {
  const half = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"value":"5",';
  const { server, url } = await listening((socket) => socket.once('data', () => socket.end(half)));
  const error = await failureOf(new TallydClient({ url, timeoutMs: 1_000 }).increment('a'));
  expect(error.name).toBe('UnknownOutcomeError');
  server.close();
});

it('a server that never answers ends at the time limit: unknown for an update, refused for a read', async () => {
  const sockets: Socket[] = [];
  const { server, url } = await listening((socket) => sockets.push(socket.resume()));
  const client = new TallydClient({ url, timeoutMs: 1_000 });
  const [update, read] = await Promise.all([failureOf(client.increment('a')), failureOf(client.get('a'))]);
  expect([update.name, update.code]).toEqual(['UnknownOutcomeError', 'timeout']);
  expect([read.name, read.code]).toEqual(['RefusedError', 'timeout']);
  for (const socket of sockets) socket.destroy();
  server.close();
});
