import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { RESP_ARGUMENT_BYTES_MAX, RESP_ARGUMENTS_MAX, RESP_COMMAND_BYTES_MAX } from '../../counter/limits.ts';
import { Reading, RequestReader, Unfinished } from './request-reader.ts';

function encode(args: readonly Uint8Array[]): Buffer {
  const parts = args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), Buffer.from(arg), Buffer.from('\r\n')]);
  return Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...parts]);
}

function argumentsOf(reader: RequestReader): Buffer[] {
  return Array.from({ length: reader.request.count }, (_, i) => reader.request.copy(i));
}

function read(text: string, authenticated = true): { reading: Reading; reader: RequestReader } {
  const reader = new RequestReader();
  const bytes = Buffer.from(text, 'latin1');
  return { reading: reader.read(bytes, 0, bytes.length, authenticated, new Unfinished()), reader };
}

/** What comes of bytes that arrive up to each of `ends` in turn, looked at as a connection does. */
function arrive(bytes: Buffer, ends: readonly number[], authenticated: boolean) {
  const reader = new RequestReader();
  const unfinished = new Unfinished();
  const requests: string[][] = [];
  let at = 0;
  for (const end of ends) {
    let reading: Reading = Reading.whole;
    while (reading === Reading.whole && end - at >= unfinished.bytesNeeded) {
      reading = reader.read(bytes, at, end, authenticated, unfinished);
      if (reading === Reading.broken) return { requests, at, error: reader.error };
      if (reading === Reading.incomplete) continue;
      requests.push(argumentsOf(reader).map((arg) => arg.toString('latin1')));
      at = reader.end;
    }
  }
  return { requests, at, error: 'none' };
}

const requests = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 30 });

describe('RequestReader', () => {
  it('reads what was written, wherever it lies in the buffer', () => {
    fc.assert(
      fc.property(
        requests,
        fc.uint8Array({ maxLength: 9 }),
        fc.uint8Array({ maxLength: 9 }),
        (args, before, behind) => {
          const frame = encode(args);
          const bytes = Buffer.concat([before, frame, behind]);
          const reader = new RequestReader();
          expect(reader.read(bytes, before.length, bytes.length, true, new Unfinished())).toBe(Reading.whole);
          expect(reader.end).toBe(before.length + frame.length);
          expect(argumentsOf(reader)).toEqual(args.map((arg) => Buffer.from(arg)));
        },
      ),
    );
  });

  it('of half a request never asks for more than the whole, and always for more than there is', () => {
    fc.assert(
      fc.property(requests, fc.nat(), (args, cut) => {
        const frame = encode(args);
        const length = cut % frame.length;
        const unfinished = new Unfinished();
        // What lies behind the end belongs to nobody.
        expect(new RequestReader().read(frame, 0, length, true, unfinished)).toBe(Reading.incomplete);
        expect(unfinished.bytesNeeded).toBeGreaterThan(length);
        expect(unfinished.bytesNeeded).toBeLessThanOrEqual(frame.length);
      }),
    );
  });

  it('makes the same of requests, whole and broken, however they are split', () => {
    const damage = fc.record({
      at: fc.nat(),
      cut: fc.nat({ max: 9 }),
      put: fc.constantFrom('', 'X', '\r\n', '9', '-'),
    });
    const sent = fc.array(fc.oneof(requests.map(encode), fc.constant(Buffer.from('PING "a b"\r\n'))), {
      minLength: 1,
      maxLength: 4,
    });
    const cuts = fc.array(fc.nat(), { maxLength: 6 });
    fc.assert(
      fc.property(sent, fc.option(damage), cuts, fc.boolean(), (frames, broken, at, authenticated) => {
        const whole = Buffer.concat(frames).toString('latin1');
        const from = broken === null ? 0 : broken.at % whole.length;
        const text = broken === null ? whole : whole.slice(0, from) + broken.put + whole.slice(from + broken.cut);
        const bytes = () => Buffer.from(text, 'latin1');
        const { length } = text;
        const ends = [...at.map((cut) => cut % (length + 1)).sort((a, b) => a - b), length];
        const outcome = arrive(bytes(), [length], authenticated);
        expect(arrive(bytes(), ends, authenticated)).toEqual(outcome);
        const each = Array.from({ length }, (_, i) => i + 1);
        expect(arrive(bytes(), each, authenticated)).toEqual(outcome);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    '*3\r\n$3\r\nSET\r\nX',
    '*3\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n',
    '*3\r\n$3\r\nSET\r\n$-1\r\n',
    `*3\r\n$3\r\nSET\r\n$${RESP_ARGUMENT_BYTES_MAX + 1}\r\n`,
    '*20001\r\n:1\r\n',
  ])('refuses %j wherever it is split', (text) => {
    const bytes = Buffer.from(text);
    const outcome = arrive(bytes, [bytes.length], true);
    expect(outcome.error).toMatch(/^ERR Protocol error/);
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(arrive(bytes, [cut, bytes.length], true)).toEqual(outcome);
    }
  });

  it('reads a request that trickles in twice, not once for each byte', () => {
    const frame = encode(Array.from({ length: 2_001 }, () => Buffer.alloc(20, 'x')));
    let reads = 0;
    const counted = new Proxy(frame, {
      get: (target, key) => {
        reads++;
        return Reflect.get(target, key);
      },
    });
    const reader = new RequestReader();
    const unfinished = new Unfinished();
    let reading: Reading = Reading.incomplete;
    for (let length = 1; reading === Reading.incomplete; length = unfinished.bytesNeeded) {
      reading = reader.read(counted, 0, length, true, unfinished);
    }
    expect([reading, reader.request.count]).toEqual([Reading.whole, 2_001]);
    // A header of five bytes is looked at when each of them arrives, and when its argument is whole.
    expect(reads).toBeLessThan(2_001 * 60);
  });

  it.each([
    ['*x\r\n', 'invalid multibulk length'],
    ['*1.0\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*-0\r\n', 'invalid multibulk length'],
    ['*99999999999\r\n', 'invalid multibulk length'],
    [`*${RESP_ARGUMENTS_MAX + 1}\r\n`, 'invalid multibulk length'],
    [`*${'1'.repeat(70)}`, 'too big mbulk count string'],
    ['*1\r\n+OK\r\n', "expected '$', got '+'"],
    ['*1\r\n$\r\n', 'invalid bulk length'],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$1x\r\n', 'invalid bulk length'],
    [`*1\r\n$${RESP_ARGUMENT_BYTES_MAX + 1}\r\n`, 'invalid bulk length'],
    [`*1\r\n$${'1'.repeat(70)}`, 'too big bulk count string'],
    ['x'.repeat(70_000), 'too big inline request'],
    ['"\r\n', 'unbalanced quotes in request'],
    ["'a\\'\r\n", 'unbalanced quotes in request'],
    ['"a"b\r\n', 'unbalanced quotes in request'],
  ])('refuses %.30j: %s', (text, error) => {
    const { reading, reader } = read(text);
    expect(reading).toBe(Reading.broken);
    expect(reader.error).toBe(`ERR Protocol error: ${error}`);
  });

  it('refuses a request as soon as it is certain to be larger than it may be', () => {
    const argument = `$${RESP_ARGUMENT_BYTES_MAX}\r\n${'x'.repeat(RESP_ARGUMENT_BYTES_MAX)}\r\n`;
    const fits = Math.floor(RESP_COMMAND_BYTES_MAX / argument.length);
    const { reading, reader } = read(`*200\r\n${argument.repeat(fits)}$${RESP_ARGUMENT_BYTES_MAX}\r\n`);
    expect(reading).toBe(Reading.broken);
    expect(reader.error).toBe('ERR Protocol error: too big request');
  });

  it.each(['*11\r\n', '*1\r\n$16385\r\n'])('refuses %j before authentication only', (text) => {
    expect(read(text, false).reading).toBe(Reading.broken);
    expect(read(text, true).reading).toBe(Reading.incomplete);
  });

  it.each(['*0\r\n', '*-1\r\n', '\r\n', '\n', '  \r\n', '\0\r\n'])('passes over %j', (text) => {
    const { reading, reader } = read(text);
    expect([reading, reader.end, reader.request.count]).toEqual([Reading.whole, text.length, 0]);
  });

  it.each([
    ['INCR a\r\n', ['INCR', 'a']],
    ['  INCR \t a  \n', ['INCR', 'a']],
    ['SET "a b" \'c d\'\r\n', ['SET', 'a b', 'c d']],
    ['x "\\x00\\xfF\\n\\r\\t\\b\\a\\q\\""\r\n', ['x', '\0\xff\n\r\t\b\x07q"']],
    ['x "\\xg1\\x1"\r\n', ['x', 'xg1x1']],
    ["x 'a\\n\\''\r\n", ['x', "a\\n'"]],
    ['x a"b c"\r\n', ['x', 'ab c']],
    ['x "" \'\'\r\n', ['x', '', '']],
    ['x a\0b\r\n', ['x', 'a']],
    ['x \\x\r\n', ['x', '\\x']],
  ])('splits the line %j', (line, args) => {
    const { reading, reader } = read(`${line}*1\r\n`);
    expect([reading, reader.end]).toEqual([Reading.whole, line.length]);
    expect(argumentsOf(reader).map((arg) => arg.toString('latin1'))).toEqual(args);
  });
});
