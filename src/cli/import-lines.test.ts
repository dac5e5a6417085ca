import { describe, expect, it } from 'vitest';
import { fc } from '../../test/property.ts';
import { LINE_BYTES_MAX, LineSplitter, MalformedLine, parseLine } from './import-lines.ts';

const parse = (text: string | Uint8Array) => parseLine({ number: 7, bytes: Buffer.from(text) });

describe('a line of an import', () => {
  it.each([
    ['{"name":"a","by":1}', { name: 'a', by: 1n }],
    ['{"by":"-9223372036854775808","name":"a"}', { name: 'a', by: -(2n ** 63n) }],
    ['{"by":9223372036854775807,"name":"a"}', { name: 'a', by: 2n ** 63n - 1n }],
    ['{"name":"v1.2e3","by":9007199254740993}', { name: 'v1.2e3', by: 9_007_199_254_740_993n }],
    ['{"name":"a","by":-0}', { name: 'a', by: 0n }],
    [
      ' {"name":"\\u0000\\n","by":0,"at":1237714200,"id":"e-1"} \r',
      { name: '\0\n', by: 0n, at: 1_237_714_200, id: 'e-1' },
    ],
    ['{"name":"\\ud83d\\ude00","by":1}', { name: '😀', by: 1n }],
    [`{"name":"${'é'.repeat(127)}x","by":1}`, { name: `${'é'.repeat(127)}x`, by: 1n }],
    ['\ufeff{"name":"a","by":1}', { name: 'a', by: 1n }],
    ['{"name":"\\"[{\\\\","by":1}', { name: '"[{\\', by: 1n }],
  ])('%s is an event', (text, event) => {
    expect(parse(text)).toEqual({ at: undefined, id: undefined, ...event });
  });

  it.each([
    ['', 'JSON'],
    ['{"name":"a","by":1', 'JSON'],
    ['{"name":"a","by":01}', 'JSON'],
    ['[]', 'object'],
    ['null', 'object'],
    ['{"by":1}', 'name'],
    ['{"name":"","by":1}', 'name'],
    ['{"name":5,"by":1}', 'name'],
    ['{"name":"\\ud800","by":1}', 'name'],
    [`{"name":"${'é'.repeat(128)}","by":1}`, 'name'],
    ['{"name":"a"}', '"by" is missing'],
    ['{"name":"a","by":1.0}', 'by'],
    ['{"name":"a","by":1.5}', 'by'],
    ['{"name":"a","by":1e3}', 'by'],
    ['{"name":"a","by":1E0}', 'by'],
    ['{"name":"a","by":true}', 'by'],
    ['{"name":"a","by":null}', 'by'],
    ['{"name":"a","by":[1]}', 'by'],
    ['{"name":"a","by":""}', 'by'],
    ['{"name":"a","by":" 1"}', 'by'],
    ['{"name":"a","by":"1.0"}', 'by'],
    ['{"name":"a","by":"0x10"}', 'by'],
    ['{"name":"a","by":9223372036854775808}', '64 bits'],
    ['{"name":"a","by":"-9223372036854775809"}', '64 bits'],
    ['{"name":"a","by":100000000000000000000000}', 'by'],
    ['{"name":"a","by":1,"at":1.5}', 'at'],
    ['{"name":"a","by":1,"at":-1}', 'at'],
    ['{"name":"a","by":1,"at":"now"}', 'at'],
    ['{"name":"a","by":1,"at":1764320000000}', 'at'],
    ['{"name":"a","by":1,"id":""}', 'id'],
    ['{"name":"a","by":1,"id":7}', 'id'],
    ['{"name":"a","by":1,"id":"é"}', 'id'],
    ['{"name":"a","by":1,"value":1}', 'value'],
    ['{"name":"a","by":1,"__proto__":{"id":"x"}}', '__proto__'],
    ['{"name":"a","by":1}{"name":"b","by":1}', 'JSON'],
    ['{"name":"a","by":1,"by":2}', 'twice'],
    ['{"name":"a","by":[1],"by":2}', 'twice'],
    ['{"name":"a","n\\u0061me":"\\"","by":2}', 'twice'],
  ])('%s is none, and the complaint says %s', (text, word) => {
    expect(() => parse(text)).toThrow(MalformedLine);
    expect(() => parse(text)).toThrow(word);
  });

  it('that is no UTF-8 or far too long is none', () => {
    expect(() => parse(Buffer.from([0x7b, 0xff, 0x7d]))).toThrow('UTF-8');
    expect(() => parse(`{"name":"a","by":1${' '.repeat(LINE_BYTES_MAX)}}`)).toThrow('longer');
  });

  it('keeps any amount of 64 bits and any name exactly', () => {
    fc.assert(
      fc.property(
        fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
        fc.string({ minLength: 1, maxLength: 60, unit: 'binary' }),
        fc.boolean(),
        (by, name, quoted) => {
          const text = `{"name":${JSON.stringify(name)},"by":${quoted ? `"${by}"` : by}}`;
          expect(parse(text)).toMatchObject({ name, by });
        },
      ),
    );
  });
});

describe('cutting blocks into lines', () => {
  it('gives the same lines, however the blocks are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 5 })), fc.array(fc.nat({ max: 40 })), (texts, sizes) => {
        const lines = texts.map((text) => text.replaceAll('\n', ''));
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const splitter = new LineSplitter();
        const found = [];
        let start = 0;
        for (const size of [...sizes, bytes.length]) {
          found.push(...splitter.push(bytes.subarray(start, start + size)));
          start += size;
        }
        expect(splitter.end()).toBeUndefined();
        expect(found.map((line) => Buffer.from(line.bytes).toString())).toEqual(lines);
        expect(found.map(({ number }) => number)).toEqual(lines.map((_, i) => i + 1));
      }),
    );
  });

  it('gives a last line that no newline ends', () => {
    const splitter = new LineSplitter();
    expect(splitter.push(Buffer.from('a\nb'))).toHaveLength(1);
    expect(splitter.end()).toMatchObject({ number: 2, bytes: Buffer.from('b') });
    expect(splitter.end()).toBeUndefined();
  });

  it('gives a last line the carriage return that the lines before it have', () => {
    for (const last of ['b', 'b\r']) {
      const splitter = new LineSplitter();
      for (const block of ['a\r', '\n', last]) splitter.push(Buffer.from(block));
      expect(splitter.end()).toMatchObject({ number: 2, bytes: Buffer.from('b\r') });
    }
  });

  it('does not gather a line without end', () => {
    const splitter = new LineSplitter();
    const endless = () => {
      for (let i = 0; i < LINE_BYTES_MAX; i++) splitter.push(Buffer.alloc(1_000, 'x'));
    };
    expect(endless).toThrow(MalformedLine);
  });
});
