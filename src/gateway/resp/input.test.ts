import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Input } from './input.ts';

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
        let next = 0;
        let expected = 0;
        for (const step of all) {
          if ('deliver' in step) input.receive(Buffer.from(Array.from({ length: step.deliver }, () => next++ & 0xff)));
          else if ('advance' in step) input.advance();
          else {
            const end = Math.min(input.start + step.read, input.end);
            for (; input.start < end; input.start++) expect(input.bytes[input.start]).toBe(expected++ & 0xff);
            input.release();
          }
          expect(input.unreadBytes).toBe(next - expected);
        }
        input.advance();
        expect(input.length).toBe(next - expected);
        for (; input.start < input.end; input.start++) expect(input.bytes[input.start]).toBe(expected++ & 0xff);
      }),
    );
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
    const buffers = new Set<Buffer>();
    for (let i = 0; i < 100_000; i++) {
      input.receive(Buffer.from('x'));
      input.advance();
      if (i > 0) buffers.add(input.bytes);
    }
    expect(buffers.size).toBeLessThan(20);
    expect(input.length).toBe(100_000);
  });
});
