import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { Boundaries } from './boundaries.ts';

interface Sent {
  readonly head: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

const bytes = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0', ' ', '{'), maxLength: 12 });
const lineEnd = fc.constantFrom('\r\n', '\n');
const empty: Sent = { head: '', headers: {}, body: '' };
const plain = bytes.map((body): Sent => ({ ...empty, headers: { 'content-length': `${body.length}` }, body }));
const chunked = fc
  .tuple(fc.array(bytes, { maxLength: 4 }), fc.constantFrom('', ';x=1'), fc.boolean())
  .map(([pieces, extension, hasTrailer]): Sent => {
    const chunks = pieces.filter(({ length }) => length > 0);
    const text = chunks.map((piece) => `${piece.length.toString(16)}${extension}\r\n${piece}\r\n`).join('');
    const body = `${text}0\r\n${hasTrailer ? 'x: 0\r\n' : ''}\r\n`;
    return { ...empty, headers: { 'transfer-encoding': 'chunked' }, body };
  });
const request = fc
  .tuple(fc.oneof(fc.constant(empty), plain, chunked), lineEnd, fc.nat({ max: 3 }))
  .map(([sent, end, fields]): Sent => ({ ...sent, head: `GET / HTTP/1.1${end}${`x: y${end}`.repeat(fields)}${end}` }));

it('no piece has bytes of two requests, whatever they are and however they arrive', () => {
  fc.assert(
    fc.property(
      fc.array(request, { maxLength: 5 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
      (all, sizes) => {
        const stream = Buffer.from(all.map(({ head, body }) => head + body).join(''));
        const boundaries = new Boundaries();
        const ends = new Set<number>();
        const heads: [number, Sent][] = [];
        let length = 0;
        for (const sent of all) {
          heads.push([length + sent.head.length, sent]);
          length += sent.head.length + sent.body.length;
        }
        for (let from = 0; from < stream.length; ) {
          const packet = stream.subarray(from, from + (sizes.next().value as number));
          for (let at = 0; at < packet.length; ) {
            const end = boundaries.next(packet, at);
            expect(end).toBeGreaterThan(at);
            at = end;
            ends.add(from + at);
            // The parser says so as soon as it has the last byte of a head.
            const head = heads.find(([position]) => position === from + at);
            if (head !== undefined) boundaries.begin({ headers: head[1].headers } as unknown as IncomingMessage);
          }
          from += packet.length;
        }
        let requestEnd = 0;
        for (const { head, body } of all) {
          requestEnd += head.length;
          expect(ends).toContain(requestEnd);
          requestEnd += body.length;
          expect(ends).toContain(requestEnd);
        }
      },
    ),
    { numRuns: 500 },
  );
});

it('a body is one piece, however many chunks it has', () => {
  const head = Buffer.from('POST / HTTP/1.1\r\n\r\n');
  const body = Buffer.from(`${'1\r\nx\r\n'.repeat(1000)}0\r\n\r\n`);
  const boundaries = new Boundaries();
  const stream = Buffer.concat([head, body, head]);
  expect(boundaries.next(stream, 0)).toBe(head.length);
  boundaries.begin({ headers: { 'transfer-encoding': 'chunked' } } as unknown as IncomingMessage);
  expect(boundaries.next(stream, head.length)).toBe(head.length + body.length);
});
