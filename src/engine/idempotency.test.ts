import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../test/simulation/host.ts';
import { DONE, ERRORS } from '../counter/errors.ts';
import { Births } from './births.ts';
import { birthOf, type IdempotencyOptions, IdempotencyStore } from './idempotency.ts';
import { Memory } from './memory.ts';

const options = { retentionMs: 1000, bytesMax: 2000, clockSkewMs: 100 };
const NOW = 1_800_000_000_000;
const LIFETIME = 1200;
const YEAR = 365 * 86_400_000;
const OUTCOMES = new Uint8Array(20);

function uuid(birthMs: number, tail = 0): string {
  const hex = birthMs.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8abc-${tail.toString(16).padStart(12, '0')}`;
}

const request = (key: string) => ({ scope: 'request', key, fingerprint: 'f' }) as const;
const imported = (key: string, fingerprint = '') => ({ scope: 'import', key, fingerprint }) as const;

/** A store with its clock, asked as a submission asks it. */
class Keys {
  readonly clock: SimulatedClock;
  readonly store: IdempotencyStore;
  /** What the journal was given of what was forgotten. */
  readonly journalled = new Births();

  constructor(changes: Partial<IdempotencyOptions> = {}, clock = new SimulatedClock(NOW), memory = new Memory()) {
    this.clock = clock;
    this.store = new IdempotencyStore({ ...options, ...changes }, clock, memory, new Uint8Array(8));
  }

  /** What a request with the key is answered: `replayed`, `DONE` or an error id; what is done is kept. */
  use(key: string): number | 'replayed' {
    if (this.store.find(request(key)) !== undefined) return 'replayed';
    const code = this.store.admit(request(key), this.clock.nowMs(), this.journalled);
    if (code === DONE) this.store.add(request(key), this.clock.nowMs(), OUTCOMES);
    return code;
  }

  knows(key: string): boolean {
    return this.store.find(request(key)) !== undefined;
  }

  /**
   * A process that starts with what a snapshot, or the journal, holds of this one. @param lastGroupMs the stamp of the
   * last group
   */
  restarted(lastGroupMs: number): Keys {
    const next = new Keys({}, new SimulatedClock(this.clock.nowMs()));
    for (const record of this.store.records()) {
      if (record.scope === 'import') next.store.imports.put(record.id);
      else next.store.load(record);
    }
    next.store.forgotten.addAll(this.store.forgotten);
    next.store.finishLoading(lastGroupMs, 0);
    return next;
  }
}

describe('the time in a key', () => {
  it('is read from UUIDv7 and ULID, and from nothing else', () => {
    expect(birthOf('017F22E2-79B0-7CC3-98C4-DC0C0C07398F')).toBe(1645557742000); // RFC 9562, A.6
    expect(birthOf('01ARZ3NDEKTSV4RRFFQ69G5FAV')).toBe(1469922850259); // the ULID specification's example
    expect(birthOf('919108f7-52d1-4320-9bac-f847db4148a8')).toBe(undefined); // version 4
    expect(birthOf('order-4711')).toBe(undefined);
  });
});

describe('the idempotency store', () => {
  it('finds what was added, by scope', () => {
    const { store } = new Keys();
    store.add(request('a'), NOW, OUTCOMES);
    store.add(imported('a'), NOW, OUTCOMES);
    expect(store.find(request('a'))?.scope).toBe('request');
    expect(store.find(imported('a'))?.scope).toBe('import');
    expect(store.find(request('b'))).toBe(undefined);
  });

  it('takes an opaque key again after the window and twice the skew, not before, also when it is the only one', async () => {
    const keys = new Keys();
    expect(keys.use('a')).toBe(DONE);
    await keys.clock.advance(LIFETIME - 1);
    expect(keys.use('a')).toBe('replayed');
    await keys.clock.advance(1);
    expect(keys.use('a')).toBe(DONE);
  });

  it('answers a timed key older than the window as expired and one from the future as such', () => {
    const keys = new Keys();
    expect(keys.use(uuid(NOW - 1000))).toBe(ERRORS.idempotency_expired.id);
    expect(keys.use(uuid(NOW - 999))).toBe(DONE);
    expect(keys.use(uuid(NOW + 100))).toBe(DONE);
    expect(keys.use(uuid(NOW + 101))).toBe(ERRORS.idempotency_from_future.id);
  });

  it('never takes a timed key again, however far ahead it was born', async () => {
    const keys = new Keys();
    const key = uuid(NOW + 100);
    keys.use(key);
    for (let i = 0; i < 60; i++) {
      await keys.clock.advance(50);
      expect(keys.use(key)).toBe(keys.clock.monotonicMs() < LIFETIME ? 'replayed' : ERRORS.idempotency_expired.id);
    }
  });

  it('when full, forgets timed keys, which it then refuses, and refuses opaque ones', async () => {
    const keys = new Keys();
    for (let i = 0; i < 20; i++) {
      expect(keys.use(uuid(NOW + i, i))).toBe(DONE);
      await keys.clock.advance(1);
    }
    expect(keys.store.bytes).toBeLessThan(options.bytesMax + 400);
    expect(keys.use(uuid(NOW, 0))).toBe(ERRORS.idempotency_expired.id);
    expect(keys.use(uuid(NOW, 99))).toBe(ERRORS.idempotency_expired.id);
    expect(keys.journalled.spans).toEqual(keys.store.forgotten.spans);
    keys.store.add(request('opaque'), NOW, OUTCOMES);
    expect(keys.use('another')).toBe(ERRORS.idempotency_full.id);
    expect(keys.store.retryAfterMs()).toBe(LIFETIME);
  });

  it('never drops an opaque record to make room', () => {
    const keys = new Keys();
    for (let i = 0; keys.use(`k${i}`) === DONE; i++);
    expect(keys.knows('k0')).toBe(true);
    expect(keys.use(uuid(NOW))).toBe(ERRORS.idempotency_full.id);
    expect(keys.knows('k0')).toBe(true);
  });

  it('drops the oldest first, whatever came and went in between, and never many at once', async () => {
    const { clock, store } = new Keys({ bytesMax: 1e9 });
    const added = [];
    for (let i = 0; i < 5000; i++) {
      if (i % 8 === 0) await clock.advance(1);
      added.push(store.add(request(`k${i}`), NOW, OUTCOMES));
    }
    store.remove(added[0]);
    await clock.advance(400);
    store.add(request('k1'), NOW, OUTCOMES);
    let before = store.count;
    while (store.count > 1) {
      await clock.advance(20);
      store.find(request('x'));
      expect(before - store.count).toBeLessThanOrEqual(1000);
      before = store.count;
    }
    expect(store.find(request('k1'))).toBeDefined();
    await clock.advance(LIFETIME);
    store.find(request('x'));
    expect([store.count, store.bytes]).toEqual([0, 0]);
  });
});

describe('the ids of imports', () => {
  it('are kept for good, in a few bytes of no heap, and over a restart', async () => {
    const keys = new Keys();
    const COUNT = 50_000;
    for (let i = 0; i < COUNT; i++) keys.store.add(imported(`id ${i}`, 'ab'.repeat(16)), NOW + i, OUTCOMES);
    expect([keys.store.bytes, keys.store.count]).toEqual([0, COUNT]);
    expect(keys.store.imports.byteLength / COUNT).toBeLessThan(48);
    await keys.clock.advance(YEAR);
    for (const { store } of [keys, keys.restarted(NOW)]) {
      for (let i = 0; i < COUNT; i += 99) expect(store.find(imported(`id ${i}`))?.appliedAtMs).toBe(NOW + i);
      expect(store.find(imported(`id ${COUNT}`))).toBe(undefined);
    }
  });

  it('know what the chunk held, where that was kept', () => {
    const { store } = new Keys();
    store.load({ ...imported('before', '00'), appliedAtMs: NOW, outcomes: OUTCOMES });
    store.add(imported('now', 'ab'.repeat(16)), NOW, OUTCOMES);
    const isOf = (key: string, content: string): boolean => {
      const record = store.find(imported(key));
      return record?.scope === 'import' && record.isOf(content.repeat(16));
    };
    expect([isOf('before', 'cd'), isOf('now', 'ab'), isOf('now', 'cd')]).toEqual([true, true, false]);
  });

  it('are refused when their memory is used up, and those that are known are not', () => {
    const memory = new Memory(1_000_000);
    const keys = new Keys({}, new SimulatedClock(NOW), memory);
    const admit = (i: number): number => keys.store.admit(imported(`${i}`), NOW, keys.journalled);
    let count = 0;
    for (; admit(count) === DONE; count++) keys.store.add(imported(`${count}`), NOW, OUTCOMES);
    expect(admit(count)).toBe(ERRORS.too_many_imports.id);
    expect(count).toBeGreaterThan(20_000);
    expect(memory.bytes).toBeLessThan(1_050_000);
    expect(keys.store.find(imported(`${count - 1}`))).toBeDefined();
  });
});

describe('a clock that jumps', () => {
  it.each([YEAR, 1500, -7_200_000])(
    'by %d ms for a moment neither forgets a key nor refuses one afterwards',
    async (by) => {
      const keys = new Keys();
      keys.use('opaque');
      keys.use(uuid(NOW, 1));
      await keys.clock.advance(10);
      keys.clock.jump(by);
      keys.use('stamped in the jump');
      const born = uuid(keys.clock.nowMs(), 2);
      expect(keys.use(born)).toBe(DONE);
      await keys.clock.advance(10);
      keys.clock.jump(-by);
      for (const now of [keys, keys.restarted(NOW + 20), keys.restarted(NOW + by)]) {
        expect([now.use('opaque'), now.use(uuid(NOW, 1)), now.use(born)]).toEqual(['replayed', 'replayed', 'replayed']);
        await now.clock.advance(500);
        for (let i = 3; i < 6; i++) {
          expect(now.use(uuid(now.clock.nowMs(), i))).toBe(DONE);
          await now.clock.advance(LIFETIME + 1);
          expect(now.use(`new ${i}`)).toBe(DONE);
        }
        // What was stamped in the jump ends like everything else.
        expect([now.knows('opaque'), now.knows('stamped in the jump')]).toEqual([false, false]);
        expect(now.use(uuid(NOW, 1))).toBe(ERRORS.idempotency_expired.id);
        expect(now.use(born)).not.toBe(DONE);
      }
    },
  );

  it('ahead while the store is full forgets keys of that time alone', async () => {
    const keys = new Keys();
    keys.clock.jump(YEAR);
    for (let i = 0; i < 40; i++) {
      expect(keys.use(uuid(NOW + YEAR + i, i))).toBe(DONE);
      await keys.clock.advance(1);
    }
    keys.clock.jump(-YEAR);
    for (let i = 0; i < 40; i++) {
      expect(keys.use(uuid(keys.clock.nowMs(), i))).toBe(DONE);
      await keys.clock.advance(1);
    }
    keys.clock.jump(YEAR);
    expect(keys.use(uuid(NOW + YEAR, 0))).toBe(ERRORS.idempotency_expired.id);
  });

  it('does not say when a refused opaque key may come again', () => {
    const keys = new Keys();
    keys.clock.jump(YEAR);
    while (keys.use(`k${keys.store.count}`) === DONE);
    keys.clock.jump(-YEAR);
    for (const now of [keys, keys.restarted(NOW + YEAR)])
      expect(now.store.retryAfterMs()).toBeLessThanOrEqual(LIFETIME);
  });

  it('has left a horizon in the future with an earlier version: it holds for no longer than the skew', async () => {
    const keys = new Keys();
    keys.store.finishLoading(NOW + YEAR, NOW + YEAR);
    expect(keys.use(uuid(NOW, 1))).toBe(ERRORS.idempotency_expired.id);
    await keys.clock.advance(options.clockSkewMs + 1);
    expect(keys.use(uuid(keys.clock.nowMs(), 2))).toBe(DONE);
    const sound = new Keys();
    sound.store.finishLoading(NOW, NOW - 500);
    expect([sound.use(uuid(NOW - 500)), sound.use(uuid(NOW - 499))]).toEqual([ERRORS.idempotency_expired.id, DONE]);
  });
});

describe('births that were forgotten', () => {
  it('are all in one of a few spans, and one that lies far from the others stays alone', () => {
    const births = new Births();
    const added = Array.from({ length: 1000 }, (_, i) => NOW + ((i * 7919) % 1000) * 50);
    for (const at of added) births.add(at, at);
    births.add(NOW + YEAR, NOW + YEAR);
    for (let i = 0; i < 1000; i++) births.add(NOW + 60_000 + i * 3, NOW + 60_000 + i * 3);
    expect(births.spans.length).toBeLessThanOrEqual(16);
    expect(added.every((at) => births.has(at)) && births.has(NOW + YEAR)).toBe(true);
    expect([births.has(NOW - 1), births.has(NOW + 100_000), births.has(NOW + YEAR - 1)]).toEqual([false, false, false]);
  });
});
