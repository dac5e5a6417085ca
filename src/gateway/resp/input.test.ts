import { describe, expect, it } from 'vitest';
import { fc } from '../../../test/property.ts';
import { Input } from './input.ts';
import { type LentBytes, owned } from './lent-bytes.ts';

/** Bytes `[from, from + length)` of a stream in which every position can be told. */
function stream(from: number, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (from + i) % 251));
}

describe('Input', () => {
  it('hands out what was received, in order, however it is delivered and read', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ deliver: fc.nat(5000) }),
        fc.record({ read: fc.nat(6000) }),
        fc.constant({ advance: true } as const),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const input = new Input();
        let delivered = 0;
        let read = 0;
        const readTo = (end: number): void => {
          expect(owned(input.bytes, input.start, end)).toEqual(stream(read, end - input.start));
          read += end - input.start;
          input.start = end;
        };
        for (const step of all) {
          if ('advance' in step) {
            input.advance();
          } else if ('deliver' in step) {
            input.receive(stream(delivered, step.deliver));
            delivered += step.deliver;
          } else {
            readTo(Math.min(input.start + step.read, input.end));
            input.release();
          }
          expect(input.unreadBytes).toBe(delivered - read);
        }
        input.advance();
        expect(input.length).toBe(delivered - read);
        readTo(input.end);
      }),
    );
  });

  it('keeps what is unread of a buffer that was lent, and nothing else', () => {
    const input = new Input();
    const lent = Buffer.from('INCR a\r\nINCR ');
    input.lend(lent, lent.length);
    expect(input.bytes).toBe(lent);
    input.start = 8;
    input.keep();
    lent.fill('x');
    expect(input.heldBytes).toBeGreaterThan(0);
    lent.write('b\r\n');
    input.lend(lent, 3);
    lent.fill('y');
    input.advance();
    expect(input.bytes.toString('latin1', input.start, input.end)).toBe('INCR b\r\n');
    input.start = input.end;
    input.release();
    input.lend(lent, 4);
    input.start = input.end;
    input.keep();
    expect(input.heldBytes).toBe(0);
  });

  it('reads a single delivery where it lies, and holds nothing when all is read', () => {
    const input = new Input();
    const bytes = Buffer.from('INCR a\r\n');
    input.receive(bytes);
    input.advance();
    expect(input.bytes).toBe(bytes);
    input.start = input.end;
    input.release();
    expect(input.heldBytes).toBe(0);
  });

  it('copies bytes that trickle in a few times, not once per delivery', () => {
    const input = new Input();
    const buffers = new Set<LentBytes>();
    for (let i = 0; i < 100_000; i++) {
      input.receive(Buffer.from('x'));
      input.advance();
      if (i > 0) buffers.add(input.bytes);
    }
    expect(buffers.size).toBeLessThan(20);
    expect(input.length).toBe(100_000);
  });
});
