import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { Chunk, Flag, Op } from '../../counter/chunk.ts';
import { ERRORS } from '../../counter/errors.ts';
import { writeInt64 } from '../../counter/int64.ts';
import { readReply } from './commands/values.ts';
import { Replies, valueReply } from './replies.ts';
import { ReplyWriter } from './reply-writer.ts';

describe('ReplyWriter', () => {
  it('writes every 64-bit integer exactly, as a number and as text', () => {
    const lanes = new Int32Array(2);
    const integers = fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.integer().map(BigInt));
    fc.assert(
      fc.property(integers, (value) => {
        const writer = new ReplyWriter();
        writeInt64(lanes, 0, value);
        writer.integer(lanes[0], lanes[1]);
        writer.decimal(lanes[0], lanes[1]);
        expect(writer.latin1()).toBe(`:${value}\r\n$${`${value}`.length}\r\n${value}\r\n`);
      }),
    );
    const writer = new ReplyWriter();
    for (const value of [0, -1, 4294967295, 4294967296, -4294967297, Number.MAX_SAFE_INTEGER]) writer.number(value);
    expect(writer.latin1()).toBe(':0\r\n:-1\r\n:4294967295\r\n:4294967296\r\n:-4294967297\r\n:9007199254740991\r\n');
  });

  it('writes what has a form of its own in RESP3', () => {
    const writeAll = (writer: ReplyWriter): string => {
      writer.null();
      writer.nullArray();
      writer.array(2);
      writer.set(2);
      writer.map(2);
      writer.verbatim('é');
      writer.bulk('é');
      writer.simple('OK');
      return writer.latin1();
    };
    const writer = new ReplyWriter();
    expect(writeAll(writer)).toBe('$-1\r\n*-1\r\n*2\r\n*2\r\n*4\r\n$2\r\nÃ©\r\n$2\r\nÃ©\r\n+OK\r\n');
    writer.begin(3);
    expect(writeAll(writer)).toBe('_\r\n_\r\n*2\r\n~2\r\n%2\r\n=6\r\ntxt:Ã©\r\n$2\r\nÃ©\r\n+OK\r\n');
  });

  it('keeps an error on one line, and its bytes as they were', () => {
    const writer = new ReplyWriter();
    writer.error('ERR a\r\nb\nc\xff\r\n');
    expect(writer.latin1()).toBe('-ERR a  b c\xff\r\n');
  });

  it('grows, and writes the same', () => {
    const writer = new ReplyWriter();
    for (let i = 0; i < 100_000; i++) writer.number(i);
    writer.bulk('x'.repeat(1_000_000));
    const expected = Array.from({ length: 100_000 }, (_, i) => `:${i}\r\n`).join('');
    expect(writer.latin1()).toBe(`${expected}$1000000\r\n${'x'.repeat(1_000_000)}\r\n`);
  });
});

describe('Replies', () => {
  /** A chunk of adds with these values; an id instead of one is an error. */
  function chunkOf(...outcomes: readonly (bigint | { readonly id: number })[]): Chunk {
    const chunk = new Chunk();
    for (const outcome of outcomes) {
      const i = chunk.push(Op.add, 0, 0, 0, 0);
      if (typeof outcome === 'bigint') writeInt64(chunk.value, 2 * i, outcome);
      else chunk.code[i] = outcome.id;
      chunk.flags[i] = Flag.existed;
    }
    return chunk;
  }

  function written(replies: Replies, chunk: Chunk): string | false {
    const writer = new ReplyWriter();
    return replies.write(writer, chunk) && writer.latin1();
  }

  it('take the outcomes in order, each its own', () => {
    const replies = new Replies();
    replies.add(valueReply, 1);
    replies.say((writer) => writer.simple('PONG'));
    replies.add(readReply, 1);
    replies.add(valueReply, 1);
    replies.error('ERR no');
    expect(written(replies, chunkOf(1n, 2n, ERRORS.overflow))).toBe(
      `:1\r\n+PONG\r\n$1\r\n2\r\n-${ERRORS.overflow.resp}\r\n-ERR no\r\n`,
    );
  });

  it('say why the chunk was refused to everything that asked for one of its commands', () => {
    const replies = new Replies();
    replies.add(valueReply, 1);
    replies.say((writer) => writer.simple('PONG'));
    replies.group(2);
    replies.say((writer) => writer.simple('OK'));
    replies.add(valueReply, 1);
    replies.add(valueReply, 1);
    const chunk = chunkOf(1n, 2n, 3n);
    expect(written(replies, chunk)).toBe(':1\r\n+PONG\r\n*2\r\n+OK\r\n:2\r\n:3\r\n');
    chunk.refusal = ERRORS.shutting_down.id;
    const refused = `-${ERRORS.shutting_down.resp}\r\n`;
    // A transaction is refused as one.
    expect(written(replies, chunk)).toBe(`${refused}+PONG\r\n${refused}${refused}`);
  });

  it.each(['outcome_unknown', 'timeout', 'internal'] as const)('say nothing at all when an outcome is %s', (code) => {
    const replies = new Replies();
    replies.add(valueReply, 1);
    replies.add(valueReply, 2);
    expect(written(replies, chunkOf(1n, ERRORS.overflow, ERRORS[code]))).toBe(false);
    const chunk = chunkOf(1n, 2n, 3n);
    chunk.refusal = ERRORS[code].id;
    expect(written(replies, chunk)).toBe(false);
  });

  it('must take every outcome', () => {
    const replies = new Replies();
    replies.add(valueReply, 1);
    expect(() => written(replies, chunkOf(1n, 2n))).toThrow('the replies take each outcome of the chunk once');
  });

  it('are empty after clear', () => {
    const replies = new Replies();
    replies.say((writer) => writer.simple('OK'));
    replies.clear();
    expect(replies.length).toBe(0);
    expect(written(replies, new Chunk())).toBe('');
  });
});
