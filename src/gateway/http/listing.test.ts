// Listings are read while they are written, step by step, as the client takes them.

import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type DoorOptions, HeldService, RawConnection, TestDoor } from '../../../test/http/door.ts';
import { CountingError } from '../../counter/errors.ts';
import type { ScanPage, ScanRequest } from '../../counter/service.ts';

let door: TestDoor;
let service: PagedService;

/** Counters with long names, in pages. */
class PagedService extends HeldService {
  read = 0;
  mostAtOnce = 0;
  mostInOneTurn = 0;
  failsAt = Number.POSITIVE_INFINITY;
  #inThisTurn = 0;
  readonly #counters: number;

  /** To be called in every turn. */
  nextTurn(): void {
    this.#inThisTurn = 0;
  }

  constructor(counters: number) {
    super();
    this.#counters = counters;
  }

  override scan({ cursor = '0', count }: ScanRequest): Promise<ScanPage> {
    const from = Number(cursor);
    if (from >= this.failsAt) return Promise.reject(new CountingError('unavailable'));
    const to = Math.min(this.#counters, from + count);
    const entries = Array.from({ length: to - from }, (_, i) => ({
      name: `${from + i}:`.padEnd(250, 'x'),
      value: BigInt(from + i),
      deadlineMs: undefined,
      updatedAtSeconds: 1,
    }));
    this.read += entries.length;
    this.mostAtOnce = Math.max(this.mostAtOnce, count);
    // The first step of each listing is at once.
    if (from > 0) this.mostInOneTurn = Math.max(this.mostInOneTurn, ++this.#inThisTurn);
    return Promise.resolve({ entries, cursor: to < this.#counters ? String(to) : undefined });
  }
}

const open = async (counters: number, options: DoorOptions = {}): Promise<void> => {
  service = new PagedService(counters);
  door = await TestDoor.open({ service, ...options });
};
afterEach(() => door.close(0));

const PAGE = 'GET /v1/counters?limit=10000 HTTP/1.1\r\nhost: x\r\n\r\n';
const ENTRY_BYTES = 280;

interface Listed {
  readonly counters: readonly { readonly name: string; readonly value: number }[];
  readonly cursor: string | null;
}
const list = async (query: string): Promise<Listed> => JSON.parse(await door.text(200, 'GET', `/v1/counters${query}`));

describe('a listing', () => {
  it.each([1, 255, 256, 257, 4_000, 9_999, 10_000])('of %i has each once, in steps', async (counters) => {
    await open(counters);
    const { counters: listed, cursor } = await list('?limit=10000');
    expect(listed.map(({ value }) => value)).toEqual(Array.from({ length: counters }, (_, i) => i));
    expect(cursor).toBeNull();
    expect(service.mostAtOnce).toBeLessThanOrEqual(256);
  });

  it('ends early, with a cursor to go on, when the service fails in the middle', async () => {
    await open(10_000);
    service.failsAt = 1_000;
    const { counters, cursor } = await list('?limit=10000');
    expect(counters).toHaveLength(1_024);
    expect(cursor).toBe('1024');
    expect(await door.code('GET', `/v1/counters?limit=10000&cursor=${cursor}`)).toBe('unavailable');
  });

  it('of only the headers reads no more than it needs', async () => {
    await open(10_000);
    const { status, text } = await door.send('HEAD', '/v1/counters?limit=10000');
    expect([status, text]).toEqual([200, '']);
    expect(service.read).toBeLessThan(1_000);
  });

  it('that many ask for at once takes one step a turn', async () => {
    await open(5_000);
    let isDone = false;
    const turns = async (): Promise<void> => {
      for (; !isDone; await turn()) service.nextTurn();
    };
    const watched = turns();
    await Promise.all(Array.from({ length: 20 }, () => list('?limit=10000')));
    isDone = true;
    await watched;
    expect(service.mostInOneTurn).toBe(1);
    expect(service.read).toBe(100_000);
  });

  it('is not read for a client that does not read, however often it asks, and the client is cut off', async () => {
    await open(10_000, { limits: { silenceTimeoutMs: 400 } });
    const raw = await RawConnection.open(door.port);
    raw.socket.pause();
    raw.socket.write(PAGE.repeat(1_300));
    const cut = new Promise((resolve) => raw.socket.once('close', resolve));
    // Paused, the client learns of the end only by writing.
    const ticks = setInterval(() => raw.socket.write(' '), 20);
    await cut;
    clearInterval(ticks);
    // What the kernel takes, and two pieces.
    expect(service.read * ENTRY_BYTES).toBeLessThan(20_000_000);
  });

  it('that is read may be asked for as often as one likes', async () => {
    await open(10_000, { limits: { keepAliveTimeoutMs: 500 } });
    const raw = await RawConnection.open(door.port);
    for (let page = 0; page < 15; page++) {
      raw.text = '';
      raw.socket.write(PAGE);
      await raw.until('"cursor":null}');
    }
    raw.socket.destroy();
  });
});

describe('all answers that are not read', () => {
  it('have one bound: what would exceed it is refused before anything is done', async () => {
    await open(10_000, { limits: { answerBytesMax: 1_500_000 } });
    const raw = await RawConnection.open(door.port);
    raw.socket.pause();
    raw.socket.write(PAGE.repeat(1_300));
    while ((await door.send('GET', '/v1/counters?limit=10000')).status !== 429);
    expect(await door.code('GET', '/v1/counters?limit=10000')).toBe('overloaded');
    const batch = JSON.stringify(Array.from({ length: 1_000 }, () => ({ name: 'x'.repeat(250) })));
    expect(await door.code('POST', '/v1/batch', batch)).toBe('overloaded');
    expect(service.chunks).toEqual([]);
    // Small ones need no room.
    expect(await list('?limit=10')).toMatchObject({ cursor: '10' });
    raw.socket.destroy();
    while ((await door.send('GET', '/v1/counters?limit=10000')).status !== 200);
  });

  it('are one a connection, however many it has asked for', async () => {
    await open(10_000);
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawConnection.open(door.port)));
    const before = held();
    for (const { socket } of clients) {
      socket.pause();
      socket.write(PAGE.replace('limit=10000', 'limit=50').repeat(1_300));
    }
    for (let seen = -1; seen !== service.read; ) {
      seen = service.read;
      for (let turns = 0; turns < 50; turns++) await turn();
    }
    // All of them would be 360 MB.
    expect(held() - before).toBeLessThan(60_000_000);
    for (const { socket } of clients) socket.destroy();
  });
});

function held(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
