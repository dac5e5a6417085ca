import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { CountingError } from '../../counter/errors.ts';
import { type ParsedBatch, parseBatchBody } from './batch-parser.ts';

/** What a body holds, and in how many steps that was found. */
function inSteps(text: string, areLines = false): ParsedBatch & { readonly steps: number } {
  const work = parseBatchBody(Buffer.from(text), areLines);
  for (let steps = 1; ; steps++) {
    const { done, value } = work.next();
    if (done === true) return { ...value, steps };
  }
}
const refusal = (text: string, areLines = false): string => {
  try {
    inSteps(text, areLines);
  } catch (error) {
    expect(error).toBeInstanceOf(CountingError);
    return `${(error as CountingError).code}: ${(error as CountingError).message}`;
  }
  throw new Error('it was not refused');
};

const text = fc.json({ maxDepth: 4 });
const space = fc.constantFrom('', ' ', '\n\t', '\r\n');

describe('what JSON.parse reads', () => {
  const isRisky = (json: string): boolean => /"\s*:\s*(?:-0|-?(?:\d{16}|\d+[.eE]))/.test(json);

  it('is read the same, entry by entry', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), space, (items, gap) => {
        fc.pre(!isRisky(items.join(' ')));
        const array = `${gap}[${gap}${items.join(`${gap},${gap}`)}${gap}]${gap}`;
        const expected = { entries: items.map((item) => JSON.parse(item) as unknown), count: items.length };
        expect(inSteps(array)).toMatchObject({ ...expected, around: undefined });
        const object = `{"atomic"${gap}:${gap}true,${gap}"updates":${array},"x":{"updates":[1]}}`;
        expect(inSteps(object)).toMatchObject({
          ...expected,
          around: { atomic: true, updates: [], x: { updates: [1] } },
        });
      }),
    );
  });

  it('and nothing else, whatever is changed in it', () => {
    const damage = fc.record({
      at: fc.nat(),
      removed: fc.nat({ max: 2 }),
      put: fc.constantFrom(...'",:{}[]\\ 1a', ''),
    });
    const shape = fc.constantFrom(['[', ']'], ['{"updates":[', ']}'], ['{"a":', '}']);
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 3 }), shape, damage, (items, [open, close], harm) => {
        const whole = `${open}${items.join(',')}${close}`;
        const at = harm.at % whole.length;
        const harmed = whole.slice(0, at) + harm.put + whole.slice(at + harm.removed);
        fc.pre(!isRisky(harmed));
        let value: unknown;
        try {
          value = JSON.parse(harmed);
        } catch {
          expect(refusal(harmed)).toMatch(/^invalid_body/);
          return;
        }
        let read: ParsedBatch;
        try {
          read = inSteps(harmed);
        } catch (error) {
          expect((error as Error).message).toMatch(/twice|a batch is a JSON array/);
          return;
        }
        const { updates } = value as { updates?: unknown };
        if (Array.isArray(value)) expect(read.entries).toEqual(value);
        else if (Array.isArray(updates)) expect(read.entries).toEqual(updates);
        else if (updates === undefined) expect(read.entries).toEqual([value]);
        else expect(read.around).toEqual(value);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('lines', () => {
  it('are values of their own; blank ones do not count', () => {
    expect(inSteps('{"by":1}\n\n{"by":2}\r\n   \n{"by":9223372036854775807}', true).entries).toEqual([
      { by: 1 },
      { by: 2 },
      { by: '9223372036854775807' },
    ]);
    expect(inSteps('\n', true).count).toBe(0);
  });

  it('are named when they are no JSON', () => {
    expect(refusal('{"by":1}\n\n{"by":}\n', true)).toMatch(/^invalid_body: line 3 is not JSON/);
    expect(refusal('{"name":"a"\n"by":1}\n', true)).toMatch(/^invalid_body: line 1 is not JSON/);
    expect(refusal('{"by":1},{"by":2}\n', true)).toMatch(/^invalid_body: line 1 is not JSON/);
    expect(refusal('{"by":1}\n{"by":1,"by":2}\n', true)).toContain('twice');
  });
});

describe('a hostile body', () => {
  const fill = (piece: string): string => piece.repeat(Math.floor(2_000_000 / piece.length));

  it.each<[string, string, string]>([
    ['nested without end', fill('['), 'nested too deeply'],
    ['nested without end in objects', fill('{"a":'), 'nested too deeply'],
    ['of tiny values', `[${fill('1,')}1]`, 'too many values'],
    ['of empty lines', fill('\n'), 'too many values'],
    ['with one long string', `["${fill('x')}"]`, 'an entry of a batch takes up to'],
    ['with one string of escapes', `["${fill('\\u0000')}"]`, 'an entry of a batch takes up to'],
    ['with one long integer', `[${fill('7')}]`, 'an entry of a batch takes up to'],
    ['with a long integer as its only value', fill('7'), 'an entry of a batch takes up to'],
    ['with one long line', fill('x'), 'an entry of a batch takes up to'],
    ['with a long key', `{"${fill('x')}":1}`, 'an entry of a batch takes up to'],
    ['with many keys', `{${Array.from({ length: 150_000 }, (_, i) => `"${i}":1`).join(',')}}`, 'takes up to'],
    ['of spaces', `${fill(' ')}x`, 'too much white space'],
    ['of quotes', fill('"'), 'takes up to'],
  ])('%s is refused in time that grows with its length', (_what, body, reason) => {
    // One that took the square of it would never end.
    expect(refusal(body)).toContain(reason);
    expect(refusal(body, true)).toMatch(/white space|nested|too many|takes up to|not JSON|twice/);
  });

  it('that is allowed is read in steps of 64 KiB or 256 entries', () => {
    const entry = `{"name":"${'\\u0000'.repeat(255)}","by":1}`;
    const { count, steps } = inSteps(`[${Array.from({ length: 10_000 }, () => entry).join(',')}]`);
    expect(count).toBe(10_000);
    expect(steps).toBeGreaterThan((10_000 * entry.length) / (80 * 1024));
    const lines = inSteps('1\n'.repeat(12_000), true);
    expect([lines.count, lines.entries.length]).toEqual([12_000, 10_000]);
    expect(lines.steps).toBeGreaterThanOrEqual(46);
    const longEntries = inSteps(`[${Array.from({ length: 200 }, () => `"${'x'.repeat(60_000)}"`).join(',')}]`);
    expect(longEntries.steps).toBeGreaterThan(90);
  });
});
