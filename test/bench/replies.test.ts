// The load generator counts replies that arrive in any pieces. Were it wrong, it would report rates that never were.

import { describe, expect, it } from 'vitest';
import { openReplyCounter, type Protocol } from '../../bench/load/reply-counter.ts';

const RESP = ':1\r\n+OK\r\n$2\r\n42\r\n$-1\r\n$0\r\n\r\n*3\r\n$1\r\n7\r\n$-1\r\n:9\r\n*0\r\n:-3\r\n';
const HTTP = [
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"value":1}',
  'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{}',
].join('');

/** Feeds the text in pieces that end at `cuts`. */
function count(
  protocol: Protocol,
  text: string,
  cuts: readonly number[],
): [replies: number, error: string | undefined] {
  const counter = openReplyCounter(protocol);
  let replies = 0;
  let from = 0;
  for (const cut of [...cuts, text.length]) {
    const piece = Buffer.from(text.slice(from, cut), 'latin1');
    replies += counter.feed(piece, piece.length);
    from = cut;
  }
  return [replies, counter.error];
}

describe.each<[Protocol, string, number]>([
  ['resp', RESP, 8],
  ['http', HTTP, 3],
])('%s', (protocol, text, replies) => {
  it('counts every reply once, wherever the pieces end', () => {
    for (let cut = 0; cut <= text.length; cut++) {
      expect(count(protocol, text, [cut]), `cut at ${cut}`).toEqual([replies, undefined]);
      expect(count(protocol, text, [cut, Math.min(cut + 1, text.length)])).toEqual([replies, undefined]);
    }
  });
});

it.each<[Protocol, string, string]>([
  ['resp', '-ERR no\r\n', '-ERR no\r'],
  ['resp', 'hello', 'no reply: h'],
  ['http', 'HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n', 'HTTP/1.1 503 No'],
  ['http', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', 'HTTP/1.1 200 OK'],
])('%s: reports %j', (protocol, text, error) => {
  expect(count(protocol, text, [])[1]).toContain(error);
});
