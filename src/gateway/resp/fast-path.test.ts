import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { Chunk } from '../../counter/chunk.ts';
import { CHUNK_COMMANDS_MAX } from '../../counter/limits.ts';
import { TRUSTED } from '../auth/principal.ts';
import { ClientState } from './client-state.ts';
import type { CommandContext } from './command.ts';
import { dispatch, findCommand } from './dispatch.ts';
import { readSimpleRequests } from './fast-path.ts';
import { Replies } from './replies.ts';
import { Reading, RequestReader, Unfinished } from './request-reader.ts';

function encode(...args: readonly (string | Uint8Array)[]): Buffer {
  const parts = args.flatMap((arg) => {
    const bytes = Buffer.from(arg as Uint8Array);
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')];
  });
  return Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...parts]);
}

/** Commands, names and amounts as columns, for comparison. */
function columns(chunk: Chunk): unknown[] {
  return Array.from({ length: chunk.count }, (_, i) => [
    chunk.op[i],
    Buffer.from(chunk.names.subarray(chunk.nameStart[i], chunk.nameStart[i] + chunk.nameLength[i])),
    chunk.amount[2 * i],
    chunk.amount[2 * i + 1],
  ]);
}

/** What the general reader and the command table make of the same bytes. */
function readGenerally(bytes: Buffer): Chunk {
  const chunk = new Chunk();
  chunk.names = bytes;
  const reader = new RequestReader();
  const client = new ClientState(1, '', '', 0, TRUSTED);
  // What these commands use of a context.
  const parts = { chunk, request: reader.request, replies: new Replies(), client, door: { trail: {} } };
  const context = parts as unknown as CommandContext;
  for (let at = 0; reader.read(bytes, at, bytes.length, true, new Unfinished()) === Reading.whole; at = reader.end) {
    void dispatch(context, findCommand(reader.request));
  }
  return chunk;
}

const cased = (word: string) => fc.mixedCase(fc.constant(word));
const name = fc.uint8Array({ minLength: 1, maxLength: 300 });
const amount = fc.bigInt(-(2n ** 63n) + 1n, 2n ** 63n - 1n).map(String);
const simple = fc.oneof(
  fc.tuple(fc.oneof(cased('incr'), cased('decr'), cased('get')), name).map(([word, key]) => encode(word, key)),
  fc.tuple(fc.oneof(cased('incrby'), cased('decrby')), name, amount).map(([word, key, by]) => encode(word, key, by)),
);

describe('readSimpleRequests', () => {
  it('makes of simple requests what the general reader makes of them, and reads only whole ones', () => {
    fc.assert(
      fc.property(fc.array(simple, { minLength: 1, maxLength: 8 }), fc.nat(), (frames, cut) => {
        const bytes = Buffer.concat(frames);
        const chunk = new Chunk();
        chunk.names = bytes;
        const replies = new Replies();
        const end = cut % (bytes.length + 1);
        let whole = 0;
        let wholeEnd = 0;
        while (whole < frames.length && wholeEnd + frames[whole].length <= end) wholeEnd += frames[whole++].length;
        expect(readSimpleRequests(bytes, 0, end, chunk, replies)).toBe(wholeEnd);
        expect(chunk.count).toBe(whole);
        expect(replies.length).toBe(whole);
        expect(columns(chunk)).toEqual(columns(readGenerally(bytes)).slice(0, whole));
      }),
    );
  });

  it.each([
    encode('incr', ''),
    encode('incr', 'a', 'b'),
    encode('incr'),
    encode('incx', 'abcdefgh'),
    encode('INC\x12', 'abcdefgh'),
    encode('gets', 'abcdefgh'),
    encode('incrxx', 'abcdefgh', '1'),
    encode('incrby', 'a', 'xxxxxxxx'),
    encode('incrby', 'a', '9223372036854775808'),
    encode('decrby', 'a', '-9223372036854775808'),
    encode('incrby', 'abcdefghi', ''),
    encode('incr', 'x'.repeat(1000)),
    Buffer.from('*2\r\n$4\r\nINCR\r\n$0x\r\nabcdefghijklmno\r\n'),
    Buffer.from('*2\r\n$4\r\nINCR\r\n$-1\r\nabcdefghijklmno\r\n'),
    Buffer.from('INCR a\r\nINCR a\r\nINCR a\r\n'),
  ])('leaves %s to the general reader', (bytes) => {
    const chunk = new Chunk();
    expect(readSimpleRequests(bytes, 0, bytes.length, chunk, new Replies())).toBe(0);
    expect(chunk.count).toBe(0);
  });

  it('stops when the chunk is full', () => {
    const frame = encode('INCR', 'abcdef');
    const bytes = Buffer.alloc(frame.length * (CHUNK_COMMANDS_MAX + 1), frame);
    const chunk = new Chunk();
    const read = readSimpleRequests(bytes, 0, bytes.length, chunk, new Replies());
    expect(chunk.count).toBe(CHUNK_COMMANDS_MAX);
    expect(read).toBe(frame.length * CHUNK_COMMANDS_MAX);
  });
});
