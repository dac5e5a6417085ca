// What is read straight from the bytes against what the general parser makes of the same bytes.

import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { Chunk, Op } from '../../counter/chunk.ts';
import { readInt64 } from '../../counter/int64.ts';
import { BATCH_ENTRIES_MAX } from '../../counter/limits.ts';
import { BatchReader, parseBatch } from './batch-body.ts';
import { readPlainBatch } from './plain-batch.ts';

type Command = readonly [op: number, name: string, amount: bigint];

function commandsOf(chunk: Chunk): Command[] {
  return Array.from({ length: chunk.count }, (_, i) => {
    const start = chunk.nameStart[i];
    const name = Buffer.from(chunk.names.subarray(start, start + chunk.nameLength[i])).toString('latin1');
    return [chunk.op[i], name, readInt64(chunk.amount, 2 * i)];
  });
}

/** What a plain batch asks for; undefined: it is not plain. */
function plainly(body: Buffer, areLines: boolean): Command[] | undefined {
  const chunk = new Chunk(1);
  if (readPlainBatch(body, areLines, chunk)) return commandsOf(chunk);
  expect(chunk.count).toBe(0);
  expect(chunk.names).not.toBe(body);
  return undefined;
}

/** The result of small work. */
function inOneStep<T>(work: Generator<void, T>): T {
  const { done, value } = work.next();
  if (done !== true) throw new Error('it takes more than one step');
  return value;
}

/** What the general parser says that a batch asks for. @throws when it refuses anything of it */
function generally(body: Buffer, areLines: boolean): Command[] {
  const chunk = new Chunk(1);
  const { entries = [], atomic } = inOneStep(parseBatch(body, areLines));
  const refusals = inOneStep(new BatchReader(chunk, new Uint8Array(3 * body.length)).read(entries, false));
  expect([refusals.size, atomic, chunk.options]).toEqual([0, undefined, []]);
  return commandsOf(chunk);
}

const add = (name: string, amount: number | bigint): Command => [Op.add, name, BigInt(amount)];

describe('a plain batch', () => {
  const plain: [string, Command[]][] = [
    ['[{"name":"a","by":1}]', [add('a', 1)]],
    ['[{"name":"a"},{"name":"","by":-12}]', [add('a', 1), add('', -12)]],
    ['[{"name": "a", "by": 0}, {"name": "b", "by": 5}]\n', [add('a', 0), add('b', 5)]],
    ['{"name":"a","by":999999999999999}', [add('a', 999_999_999_999_999)]],
    ['{"name":"a","by":-999999999999999}\n{"name":"b"}\n', [add('a', -999_999_999_999_999), add('b', 1)]],
    ['{"name":"a"}\r\n{"name":"b","by":4294967296}\r\n', [add('a', 1), add('b', 4_294_967_296)]],
    [`{"name":"${'x'.repeat(255)}","by":-4294967297}`, [add('x'.repeat(255), -4_294_967_297)]],
    ['{"name":",}]:{[\u007f"}', [add(',}]:{[\u007f', 1)]],
    ['[{"name":"ü😀"}]', [add(Buffer.from('ü😀').toString('latin1'), 1)]],
  ];

  it.each(plain)('is read at once: %s', (text, commands) => {
    const body = Buffer.from(text);
    const areLines = !text.startsWith('[');
    expect(plainly(body, areLines)).toEqual(commands);
    expect(plainly(body, false)).toEqual(commands);
    expect(generally(body, areLines)).toEqual(commands);
  });

  it('has up to as many entries as any', () => {
    for (const [open, between, close] of [
      ['[', ',', ']'],
      ['', '\n', ''],
    ] as const) {
      const body = (count: number): Buffer =>
        Buffer.from(open + Array.from({ length: count }, () => '{"name":"a"}').join(between) + close);
      expect(plainly(body(BATCH_ENTRIES_MAX), open === '')).toHaveLength(BATCH_ENTRIES_MAX);
      expect(plainly(body(BATCH_ENTRIES_MAX + 1), open === '')).toBeUndefined();
    }
  });

  it.each([
    ...['', '[]', '\n', ' [{"name":"a"}]', '[{"name":"a"}] ', '[{"name":"a"},]', '[{"name":"a"}', '[{"name":"a"}]]'],
    ...['{"name":"a"}\n\n', '{"name":"a"}\n\n{"name":"b"}', '{"name":"a"}{"name":"b"}', '{"name":"a"},{"name":"b"}'],
    ...['{"name":"a"}\r', '{"name":"a"}\r{"name":"b"}', '{"by":1,"name":"a"}', '{"name":"a","by":1,"id":"x"}'],
    ...['{"name":"a","by":1.0}', '{"name":"a","by":1e3}', '{"name":"a","by":"1"}', '{"name":"a","by":true}'],
    ...['{"name":"a","by":-0}', '{"name":"a","by":01}', '{"name":"a","by":-01}', '{"name":"a","by":+1}'],
    ...['{"name":"a","by":}', '{"name":"a","by":-}', '{"name":"a","by":1000000000000000}', '{"name":"a","by":null}'],
    ...['{"name":"a","name":"b"}', '{"name":"a","by":1,"by":2}', '{"name":7}', '{"name":"a"', '{"name":"a'],
    ...['{"name":"a\\n"}', '{"name":"\\u0061"}', '{"name":"a\tb"}', '{"name":"a\nb"}', '{"Name":"a"}', '{"name" :"a"}'],
    ...['{"name":"a" }', '{"name":"a","by":1 }', '{"name":"a",  "by":1}', '\ufeff{"name":"a"}', '{"updates":[]}'],
    `{"name":"${'x'.repeat(256)}"}`,
  ])('is not %j', (text) => {
    expect(plainly(Buffer.from(text), false)).toBeUndefined();
    expect(plainly(Buffer.from(text), true)).toBeUndefined();
  });

  it('is not what is no UTF-8, and no array where lines are announced', () => {
    const body = Buffer.from('[{"name":"aü"}]');
    expect(plainly(body, true)).toBeUndefined();
    body[body.length - 4] = 0x20;
    expect(plainly(body, false)).toBeUndefined();
  });
});

describe('whatever is changed in a batch', () => {
  const space = fc.constantFrom('', '', ' ', '\t');
  const entry = fc
    .record({
      name: fc.oneof(fc.constantFrom('a', 'key:1', 'ü', ''), fc.string({ unit: 'binary', maxLength: 5 })),
      by: fc.oneof(
        fc.constant(undefined),
        fc.maxSafeInteger().map(String),
        fc.integer({ min: -9, max: 9 }).map(String),
        fc.constantFrom('-0', '00', '1.0', '1e3', '""', 'true', '9007199254740993', '-9223372036854775808'),
      ),
      spaces: fc.array(space, { minLength: 4, maxLength: 4 }),
      more: fc.constantFrom('', '', '', '', ',"id":"x"', ',"by":1', ',"x":1'),
    })
    .map(({ name, by, spaces: [a, b, c, d], more }) => {
      const amount = by === undefined ? '' : `,${b}"by":${c}${by}`;
      return `{"name":${a}${JSON.stringify(name)}${amount}${more}}${d}`;
    });
  const shape = fc.constantFrom(
    ['[', ',', ']'],
    ['[', ', ', ']\n'],
    ['', '\n', ''],
    ['', '\r\n', '\n'],
    ['', '\n\n', ''],
  );
  const damage = fc.record({
    at: fc.nat(),
    removed: fc.nat({ max: 2 }),
    put: fc.oneof(fc.constantFrom(...'",:{}[] \n\r\\-01.e'), fc.constant('')),
    byte: fc.option(fc.constantFrom(0, 0x80, 0xc3, 0xff)),
  });

  it('it is either read like the general parser, or left to it', () => {
    let plainBatches = 0;
    const runs = 20_000;
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 3 }),
        shape,
        fc.option(damage, { freq: 2 }),
        fc.boolean(),
        (entries, [open = '', between, close = ''], harm, areLines) => {
          let body = Buffer.from(open + entries.join(between) + close);
          if (harm !== null) {
            const at = harm.at % (body.length + 1);
            const put = harm.byte === null ? Buffer.from(harm.put) : Buffer.of(harm.byte);
            body = Buffer.concat([body.subarray(0, at), put, body.subarray(at + harm.removed)]);
          }
          const commands = plainly(body, areLines);
          if (commands === undefined) return;
          plainBatches++;
          expect(generally(body, areLines)).toEqual(commands);
        },
      ),
      { numRuns: runs },
    );
    expect(plainBatches).toBeGreaterThan(runs / 100);
  });
});
