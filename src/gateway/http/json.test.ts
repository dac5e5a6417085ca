import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { CountingError } from '../../counter/errors.ts';
import { NotAnInteger, parseJson } from './json.ts';

const parse = (text: string): unknown => parseJson(Buffer.from(text));
const refusal = (text: string | Buffer): string => {
  try {
    parseJson(Buffer.from(text as string));
  } catch (error) {
    expect(error).toBeInstanceOf(CountingError);
    expect((error as CountingError).code).toBe('invalid_body');
    return (error as CountingError).message;
  }
  throw new Error('it was not refused');
};

describe('numbers', () => {
  it.each(['1.0', '1e3', '1E3', '-0.5', '1.5e+2', '9007199254740993.0', '1e400', '-0.0'])(
    '%s is no integer',
    (text) => {
      expect(parse(`{"by":${text}}`)).toEqual({ by: new NotAnInteger(text) });
      expect(parse(`{"by" \n:\t ${text}, "name": "a"}`)).toEqual({ by: new NotAnInteger(text), name: 'a' });
    },
  );

  it.each(['9007199254740992', '9007199254740993', '-9223372036854775808', '9223372036854775808'])(
    '%s keeps its digits',
    (text) => {
      expect(parse(`{"by":${text}}`)).toEqual({ by: text });
      expect(parse(`[{"floor":${text}}]`)).toEqual([{ floor: text }]);
    },
  );

  it.each(['{"by":-0}', '{"by" : -0 }', '[{"name":"a","by":-0}]'])('the zero below zero is none: %s', (text) => {
    expect(JSON.stringify(parse(text))).toContain('{"source":"-0"}');
  });

  it('a large literal is no text', () => {
    const { name } = parse('{"name":12345678901234567}') as { name: unknown };
    expect(typeof name).toBe('number');
  });

  it.each(['0', '-1', '9007199254740991', '-9007199254740991', '123456789012345'])('%s is a number', (text) => {
    expect(parse(`{"by":${text}}`)).toEqual({ by: Number(text) });
  });

  it('are told exactly, whatever stands beside them', () => {
    const literal = fc.oneof(
      fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
      fc.tuple(fc.integer(), fc.constantFrom('.0', 'e0', 'E+2', '.50')).map(([value, tail]) => `${value}${tail}`),
    );
    const entry = fc.record({
      name: fc.string({ unit: 'binary' }),
      by: literal,
      space: fc.constantFrom('', ' ', '\n\t'),
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), (entries) => {
        const text = entries.map(
          ({ name, by, space }) => `{"name":${JSON.stringify(name)},"by"${space}:${space}${by}}`,
        );
        const parsed = parse(`[${text.join(',')}]`) as { name: string; by: unknown }[];
        for (const [i, { name, by }] of entries.entries()) {
          expect(parsed[i]?.name).toBe(name);
          const read = parsed[i]?.by;
          if (/[.eE]/.test(by) || by === '-0') expect(read).toEqual(new NotAnInteger(by));
          else expect(String(BigInt(read as string | number))).toBe(String(BigInt(by)));
        }
      }),
    );
  });
});

describe('a body is refused', () => {
  it.each(['', '{', '{"by":01}', "{'by':1}", '{"by":1}x', '[1,]', 'by=1', '\ufeff{}', 'NaN'])(
    'that is no JSON: %j',
    (text) => {
      expect(refusal(text)).toContain('the body is not JSON');
    },
  );

  it('that is no UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from('{"name":"'), Buffer.of(0xc3, 0x28), Buffer.from('"}')]);
    expect(() => parseJson(bytes)).toThrow('the body is not valid UTF-8');
  });

  it.each([
    '{"by":1,"by":2}',
    '{"by":1,"b\\u0079":2}',
    '[{"name":"a"},{"name":"b","by":1.5,"by":1}]',
    '{"name":"\\"","name":"\\\\"}',
    '{"by":"x","by":1}',
    '{"by":12345678901234567890,"by":1}',
    '{"by":1,"by":12345678901234567890}',
    '{"a":{"b":"c"},"a":1}',
    '{"__proto__":1,"__proto__":2}',
  ])('that names a field twice: %s', (text) => {
    expect(refusal(text)).toBe('an object in the body has the same field twice');
  });

  it.each([
    '{"a":"\\"b\\"","c":"\\\\"}',
    '[{"by":1},{"by":1}]',
    '{"by":12345678901234567890}',
    '{"__proto__":{"by":1}}',
  ])('but not %s', (text) => {
    expect(() => parse(text)).not.toThrow();
  });

  it('that is nested without end', () => {
    expect(refusal('['.repeat(100) + ']'.repeat(100))).toContain('nested too deeply');
    refusal('['.repeat(1_000_000));
    refusal(`${'{"by":1.0,"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`);
  });
});

it('says the same of any JSON as JSON.parse', () => {
  const isFree = (value: unknown): boolean => !/"\s*:\s*-?(\d{16}|\d+[.eE])/.test(JSON.stringify(value));
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (text) => {
      const value: unknown = JSON.parse(text);
      fc.pre(isFree(value));
      expect(parse(text)).toEqual(value);
      expect(parse(JSON.stringify(value, undefined, 2))).toEqual(value);
    }),
  );
});
