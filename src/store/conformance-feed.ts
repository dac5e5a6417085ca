/** Checks of a slot store's reads: its feed, pages of slots, leases, its identity; and that every call ends. */
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict';
import { noCut, reset } from '../crdt/cut.ts';
import {
  type ConformanceBench,
  type ConformanceCheck,
  MANY,
  SeenStates,
  slot,
  slotsOf,
  withStore,
} from './conformance-bench.ts';
import {
  type Changes,
  type NamedSlot,
  type ReplicaId,
  type SlotStore,
  StoreError,
  UnknownStore,
} from './slot-store.ts';

export const feedChecks: readonly ConformanceCheck[] = [
  {
    title: 'tells what changed since a cursor, to everyone, and begins with resync',
    run: (bench) =>
      withStore(bench, async (store) => {
        const other = await bench.connect();
        try {
          const [a, b] = [bench.randomId(), bench.randomId()];
          const replica = bench.randomId();
          const start = await other.changes(undefined);
          deepStrictEqual([start.resync, start.slots, start.cuts], [true, [], []]);
          await store.merge({
            slots: [
              { name: a, replica, version: 1n, net: 1n },
              { name: b, replica, version: 1n, net: 2n },
            ],
            cuts: [],
          });
          const seen = new Follower(other, start);
          await seen.poll();
          deepStrictEqual([seen.total(a), seen.total(b)], [1n, 2n]);
          await store.merge({ slots: [{ name: a, replica, version: 2n, net: 7n }], cuts: [] });
          await store.cut([
            { name: b, expectedVersion: 0n, next: reset(new Map([[replica, slot(1n, 2n)]]), noCut(), 'x', 100n, 0) },
          ]);
          await seen.poll();
          deepStrictEqual([seen.total(a), seen.total(b)], [7n, 100n]);
          // An older cursor also works: changes may be delivered twice.
          const again = new Follower(other, start);
          await again.poll();
          deepStrictEqual([again.total(a), again.total(b)], [7n, 100n]);
        } finally {
          await other.close();
        }
      }),
  },
  {
    title: 'misses no change among many writers at once',
    run: (bench) =>
      withStore(bench, async (store) => {
        const names = Array.from({ length: 5 }, () => bench.randomId());
        const seen = new Follower(store, await store.changes(undefined));
        const writers = Array.from({ length: 6 }, () => writeMany(bench, names, 40));
        let running = true;
        const done = Promise.all(writers).finally(() => {
          running = false;
        });
        while (running) {
          await seen.poll();
        }
        await done;
        await seen.poll();
        for (const name of names) strictEqual(seen.total(name), 6n * 40n * 3n);
      }),
  },
  {
    title: 'tells whoever names itself what the others have changed',
    run: (bench) =>
      withStore(bench, async (store) => {
        const [name, reader, other] = [bench.randomId(), bench.randomId(), bench.randomId()];
        const seen = new Follower(store, await store.changes(undefined, reader), reader);
        const slots = [
          { name, replica: reader, version: 4n, net: 1n },
          { name, replica: other, version: 4n, net: 20n },
        ];
        await store.merge({ slots, cuts: [] });
        await store.merge({ slots: [{ name, replica: other, version: 5n, net: 30n }], cuts: [] });
        await seen.poll();
        // With its own slot or without.
        ok([30n, 31n].includes(seen.total(name)), `${seen.total(name)}`);
        await store.cut([{ name, expectedVersion: 0n, next: reset(new Map(), noCut(), 'x', 100n, 0) }]);
        await seen.poll();
        ok([130n, 131n].includes(seen.total(name)), `${seen.total(name)}`);
      }),
  },
  {
    title: 'cannot serve a cursor that it did not give, and says so',
    run: (bench) =>
      withStore(bench, async (store) => {
        for (const cursor of ['', 'x', '0', '1:2:3', '{"a":1}', '[]', 'ffffffff']) {
          const { resync, cursor: next } = await store.changes(cursor);
          strictEqual(resync, true, `cursor ${JSON.stringify(cursor)}`);
          strictEqual((await store.changes(next)).resync, false);
        }
      }),
  },
  {
    title: 'lists the slots of one replica, page by page',
    run: (bench) =>
      withStore(bench, async (store) => {
        const prefix = bench.randomId();
        const [replica, other] = [bench.randomId(), bench.randomId()];
        const slots = Array.from({ length: MANY }, (_, i): NamedSlot => {
          return { name: `${prefix}:${i}`, replica: i % 7 === 0 ? replica : other, version: 3n, net: BigInt(i) };
        });
        await store.merge({ slots, cuts: [] });
        const found = new Map<string, NamedSlot>();
        let cursor: string | undefined;
        do {
          const page = await store.slotsOf(replica, cursor);
          for (const named of page.slots) found.set(named.name, named);
          cursor = page.cursor;
        } while (cursor !== undefined);
        deepStrictEqual(found, new Map(slots.filter((named) => named.replica === replica).map((s) => [s.name, s])));
        deepStrictEqual((await store.slotsOf(bench.randomId(), undefined)).slots, []);
      }),
  },
  {
    title: 'swaps a lease only for whom has seen its version',
    run: (bench) =>
      withStore(bench, async (store) => {
        const replica = bench.randomId();
        const made = await Promise.all(Array.from({ length: 5 }, (_, i) => store.swapLease(replica, 0, `{"n":${i}}`)));
        strictEqual(made.filter(Boolean).length, 1);
        strictEqual(await store.swapLease(replica, 2, 'no'), false);
        strictEqual(await store.swapLease(replica, 1, 'ä "\\\n'), true);
        strictEqual(await store.swapLease(replica, 1, 'late'), false);
        const other = bench.randomId();
        strictEqual(await store.swapLease(other, 1, 'no such lease'), false);
        strictEqual(await store.swapLease(other, 0, ''), true);
        const held = { replica, version: 2, document: 'ä "\\\n' };
        deepStrictEqual(await store.lease(replica), held);
        deepStrictEqual(await store.lease(other), { replica: other, version: 1, document: '' });
        strictEqual(await store.lease(bench.randomId()), undefined);
        deepStrictEqual(
          (await store.leases()).find((lease) => lease.replica === replica),
          held,
        );
      }),
  },
  {
    title: 'has one id for everyone, and a term',
    run: (bench) =>
      withStore(bench, async (store) => {
        const other = await bench.connect();
        try {
          deepStrictEqual(await store.identity(), await other.identity());
          const { id, term } = await store.identity();
          ok(id.length > 0 && term.length > 0);
          strictEqual((await store.changes(undefined)).term, term);
        } finally {
          await other.close();
        }
      }),
  },
  {
    title: 'lets nobody through who has met another store',
    run: (bench) =>
      withStore(bench, async (store) => {
        const { id } = await store.identity();
        const [name, replica] = [bench.randomId(), bench.randomId()];
        const stranger = await bench.connect();
        try {
          for (const expected of [bench.randomId(), id]) {
            strictEqual((await stranger.identity(expected)).id, id);
            const calls = [
              () => stranger.merge({ slots: [{ name, replica, version: 1n, net: 1n }], cuts: [] }),
              () => stranger.read([name]),
              () => stranger.changes(undefined),
              () => stranger.cut([{ name, expectedVersion: 0n, next: reset(new Map(), noCut(), 'a', 5n, 0) }]),
              () => stranger.slotsOf(replica, undefined),
              () => stranger.lease(replica),
              () => stranger.leases(),
              () => stranger.swapLease(replica, 0, 'document'),
            ];
            if (expected === id) for (const call of calls) await call();
            else for (const call of calls) await rejects(call(), UnknownStore);
            strictEqual(
              (await store.leases()).some((lease) => lease.replica === replica),
              expected === id,
            );
            deepStrictEqual((await slotsOf(store, name)).size, expected === id ? 1 : 0);
          }
        } finally {
          await stranger.close();
        }
      }),
  },
  {
    title: 'ends every call in time when no store answers',
    run: async (bench) => {
      const store = await bench.connectToNothing();
      try {
        await rejects(store.read(['a']), StoreError);
        await rejects(
          store.merge({ slots: [{ name: 'a', replica: bench.randomId(), version: 1n, net: 1n }], cuts: [] }),
          StoreError,
        );
        await rejects(store.changes(undefined), StoreError);
      } finally {
        await store.close();
      }
    },
  },
];

/** Reads the feed as a replica does. */
class Follower {
  readonly #store: SlotStore;
  readonly #seen = new SeenStates();
  readonly #reader: ReplicaId | undefined;
  #cursor: string;

  constructor(store: SlotStore, { cursor }: Changes, reader?: ReplicaId) {
    this.#store = store;
    this.#cursor = cursor;
    this.#reader = reader;
  }

  async poll(): Promise<void> {
    const changes = await this.#store.changes(this.#cursor, this.#reader);
    this.#cursor = changes.cursor;
    strictEqual(changes.resync, false, 'a cursor of a moment ago is served');
    this.#seen.take(changes);
  }

  total(name: string): bigint {
    return this.#seen.total(name);
  }
}

/** A replica with a connection of its own that raises its slot of each counter by 3, again and again. */
async function writeMany(bench: ConformanceBench, names: readonly string[], times: number): Promise<void> {
  await withStore(bench, async (store) => {
    const replica = bench.randomId();
    for (let i = 1; i <= times; i++) {
      const slots = names.map((name): NamedSlot => ({ name, replica, version: BigInt(i), net: 3n * BigInt(i) }));
      await store.merge({ slots, cuts: [] });
    }
  });
}
