import { describe, expect, it } from 'vitest';
import { DONE, ERRORS } from '../counter/errors.ts';
import { birthOf, IdempotencyStore, type StoredRecord } from './idempotency.ts';

const options = { retentionMs: 1000, bytesMax: 2000, clockSkewMs: 100 };
const NOW = 1_800_000_000_000;

function uuid(birthMs: number, tail = 0): string {
  const hex = birthMs.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8abc-${tail.toString(16).padStart(12, '0')}`;
}

const request = (key: string) => ({ scope: 'request', key, fingerprint: 'f' }) as const;

function record(key: string, appliedAtMs: number, scope: 'request' | 'import' = 'request'): StoredRecord {
  return { scope, key, fingerprint: 'f', appliedAtMs, outcomes: new Uint8Array(20), unsettled: false };
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
    const store = new IdempotencyStore(options);
    store.add(record('a', NOW));
    store.add(record('a', NOW, 'import'));
    expect(store.find(request('a'))?.scope).toBe('request');
    expect(store.find({ scope: 'import', key: 'a', fingerprint: '' })?.scope).toBe('import');
    expect(store.find(request('b'))).toBe(undefined);
  });

  it('takes an opaque key again after the window and twice the skew, not before', () => {
    const store = new IdempotencyStore(options);
    store.add(record('a', NOW));
    expect(store.admit(request('x'), NOW + 1199)).toBe(DONE);
    expect(store.find(request('a'))).toBeDefined();
    expect(store.admit(request('x'), NOW + 1200)).toBe(DONE);
    expect(store.find(request('a'))).toBe(undefined);
  });

  it('answers a timed key older than the horizon as expired and one from the future as such', () => {
    const store = new IdempotencyStore(options);
    expect(store.admit(request(uuid(NOW - 1000)), NOW)).toBe(ERRORS.idempotency_expired.id);
    expect(store.admit(request(uuid(NOW - 999)), NOW)).toBe(DONE);
    expect(store.admit(request(uuid(NOW + 100)), NOW)).toBe(DONE);
    expect(store.admit(request(uuid(NOW + 101)), NOW)).toBe(ERRORS.idempotency_from_future.id);
  });

  it('keeps a timed record until the horizon has passed its birth, however far ahead that was', () => {
    const store = new IdempotencyStore(options);
    const key = request(uuid(NOW + 100));
    store.add(record(key.key, NOW));
    for (let now = NOW; now < NOW + 3000; now += 50) {
      store.admit(request('tick'), now);
      if (store.find(key) === undefined) expect(store.admit(key, now)).toBe(ERRORS.idempotency_expired.id);
    }
    expect(store.find(key)).toBe(undefined);
  });

  it('when full, moves the horizon for timed keys and refuses opaque ones', () => {
    const store = new IdempotencyStore(options);
    for (let i = 0; i < 20; i++) {
      const key = uuid(NOW + i, i);
      if (store.admit(request(key), NOW + i) === DONE) store.add(record(key, NOW + i));
    }
    expect(store.bytes).toBeLessThan(options.bytesMax + 400);
    expect(store.find(request(uuid(NOW, 0)))).toBe(undefined);
    expect(store.admit(request(uuid(NOW, 0)), NOW + 20)).toBe(ERRORS.idempotency_expired.id);
    expect(store.admit(request('opaque'), NOW + 20)).toBe(ERRORS.idempotency_full.id);
    expect(store.retryAfterMs(NOW)).toBeGreaterThanOrEqual(1000);
  });

  it('never drops an opaque record to make room', () => {
    const store = new IdempotencyStore(options);
    for (let i = 0; store.admit(request(`k${i}`), NOW) === DONE; i++) store.add(record(`k${i}`, NOW));
    expect(store.find(request('k0'))).toBeDefined();
    expect(store.admit(request(uuid(NOW)), NOW)).toBe(ERRORS.idempotency_full.id);
    expect(store.find(request('k0'))).toBeDefined();
  });

  it('has a horizon that survives a restart and a clock set back', () => {
    const store = new IdempotencyStore(options);
    store.restore(NOW - 500, NOW);
    expect(store.admit(request(uuid(NOW - 500)), NOW - 450)).toBe(ERRORS.idempotency_expired.id);
    store.restore(0, NOW + 5000);
    expect(store.admit(request(uuid(NOW + 3999)), NOW + 5000)).toBe(ERRORS.idempotency_expired.id);
  });

  it('goes on remembering new keys when a clock that was ahead is set back, also over a restart', () => {
    const store = new IdempotencyStore(options);
    expect(store.admit(request(uuid(NOW + 5000)), NOW + 5000)).toBe(DONE);
    store.add(record('a', NOW));
    expect(store.admit(request('b'), NOW)).toBe(DONE);
    expect(store.find(request('a'))).toBeDefined();
    const restarted = new IdempotencyStore(options);
    restarted.add(record('a', NOW));
    restarted.restore(0, NOW + 5000);
    expect(restarted.admit(request('b'), NOW)).toBe(DONE);
    expect(restarted.find(request('a'))).toBeDefined();
  });

  it('drops the oldest first, whatever came and went in between, and never many at once', () => {
    const store = new IdempotencyStore({ ...options, bytesMax: 1e9 });
    const added = Array.from({ length: 5000 }, (_, i) => record(`k${i}`, NOW + (i >> 3)));
    for (const one of added) store.add(one);
    store.remove(added[0]);
    store.add({ ...added[1], appliedAtMs: NOW + 5000 });
    let before = store.count;
    for (let now = NOW + 1200; store.count > 1; now += 50) {
      store.admit(request('x'), now);
      expect(before - store.count).toBeLessThanOrEqual(1000);
      before = store.count;
    }
    expect(store.find(request('k1'))).toBeDefined();
    expect(store.admit(request('x'), NOW + 7000)).toBe(DONE);
    expect([store.count, store.bytes]).toEqual([0, 0]);
    store.add(record('y', NOW + 7000));
    store.admit(request('x'), NOW + 9000);
    expect(store.count).toBe(0);
  });

  it('keeps imports for good and outside the bound', () => {
    const store = new IdempotencyStore(options);
    for (let i = 0; i < 100; i++) store.add(record(`${i}`, NOW, 'import'));
    expect(store.bytes).toBe(0);
    store.admit(request('x'), NOW + 1e9);
    expect(store.find({ scope: 'import', key: '0', fingerprint: '' })).toBeDefined();
  });
});
