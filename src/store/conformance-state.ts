/** Checks of what a slot store keeps: slots and cuts. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { INT64_MAX, INT64_MIN } from '../counter/int64.ts';
import { type Cut, fold, remove, reset } from '../crdt/cut.ts';
import { exists } from '../crdt/merge.ts';
import type { Slot } from '../crdt/slot.ts';
import {
  type ConformanceCheck,
  MANY,
  NOTHING,
  one,
  SeenStates,
  slot,
  slotsOf,
  totalOf,
  withStore,
} from './conformance-bench.ts';
import type { NamedSlot, ReplicaId } from './slot-store.ts';

export const stateChecks: readonly ConformanceCheck[] = [
  {
    title: 'knows nothing of a counter that nobody counted on',
    run: (bench) =>
      withStore(bench, async (store) => {
        deepStrictEqual(await store.read([bench.randomId()]), [NOTHING]);
        deepStrictEqual(await store.read([]), []);
      }),
  },
  {
    title: 'keeps the newer slot, whatever comes twice, late or in another order',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const replica = bench.randomId();
        for (const [version, net] of [
          [5n, 50n],
          [9n, -3n],
          [5n, 50n],
          [9n, -3n],
          [8n, 1_000n],
        ] as const) {
          await store.merge({ slots: [{ name, replica, version, net }], cuts: [] });
        }
        deepStrictEqual(await slotsOf(store, name), new Map([[replica, { version: 9n, net: -3n }]]));
      }),
  },
  {
    title: 'keeps slots of many replicas and counters apart, thousands in one call',
    run: (bench) =>
      withStore(bench, async (store) => {
        const prefix = bench.randomId();
        const replicas = [bench.randomId(), bench.randomId()];
        const slots = Array.from({ length: MANY }, (_, i): NamedSlot[] =>
          replicas.map((replica, r) => ({ name: `${prefix}:${i}`, replica, version: 1n, net: BigInt(i * (r + 1)) })),
        ).flat();
        await store.merge({ slots, cuts: [] });
        const states = await store.read(Array.from({ length: MANY }, (_, i) => `${prefix}:${i}`));
        strictEqual(states.length, MANY);
        states.forEach((state, i) => {
          deepStrictEqual(state.slots, new Map(replicas.map((id, r) => [id, slot(1n, BigInt(i * (r + 1)))])));
        });
      }),
  },
  {
    title: 'is exact at the ends of 64 bits and beyond 2^53',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const nets = [INT64_MIN, INT64_MAX, 9_007_199_254_740_993n, -9_007_199_254_740_995n];
        const slots = nets.map(
          (net, i): NamedSlot => ({ name, replica: bench.randomId(), version: INT64_MAX - BigInt(i), net }),
        );
        await store.merge({ slots, cuts: [] });
        // 2^53 + 1 against 2^53: as doubles they are equal.
        await store.merge({ slots: [{ ...(slots[2] as NamedSlot), version: 1n << 53n }], cuts: [] });
        deepStrictEqual(await slotsOf(store, name), new Map(slots.map((s) => [s.replica, slot(s.version, s.net)])));
        const close = bench.randomId();
        const replica = bench.randomId();
        await store.merge({ slots: [{ name: close, replica, version: (1n << 53n) + 1n, net: 1n }], cuts: [] });
        await store.merge({ slots: [{ name: close, replica, version: 1n << 53n, net: 2n }], cuts: [] });
        await store.merge({ slots: [{ name: close, replica, version: 99n, net: 3n }], cuts: [] });
        deepStrictEqual(await slotsOf(store, close), new Map([[replica, slot((1n << 53n) + 1n, 1n)]]));
        await store.merge({ slots: [{ name: close, replica, version: (1n << 53n) + 2n, net: 4n }], cuts: [] });
        deepStrictEqual(await slotsOf(store, close), new Map([[replica, slot((1n << 53n) + 2n, 4n)]]));
        const rising = bench.randomId();
        await store.merge({ slots: [{ name: rising, replica, version: 1n << 53n, net: 1n }], cuts: [] });
        await store.merge({ slots: [{ name: rising, replica, version: (1n << 53n) + 1n, net: 2n }], cuts: [] });
        deepStrictEqual(await slotsOf(store, rising), new Map([[replica, slot((1n << 53n) + 1n, 2n)]]));
      }),
  },
  {
    title: 'takes any name of 1 to 255 bytes of UTF-8 for itself',
    run: (bench) =>
      withStore(bench, async (store) => {
        const id = bench.randomId();
        const odd = [
          '\0',
          `${id}\0x`,
          `${id}{a}`,
          `${id}{b}`,
          `${id} "'\\%_;\n`,
          `${id}ä`,
          `${id}a\u0308`,
          `${id}😀`,
          `${id}A`,
          `${id}a`,
        ];
        const names = [...odd, id.repeat(8).slice(0, 255)];
        const replica = bench.randomId();
        const slots = names.map((name, i): NamedSlot => ({ name, replica, version: 1n, net: BigInt(i) }));
        await store.merge({ slots, cuts: [] });
        const states = await store.read(names);
        deepStrictEqual(
          states.map((state) => state.slots.get(replica)?.net),
          names.map((_, i) => BigInt(i)),
        );
      }),
  },
  {
    title: 'answers a read in the order of its names, also when one comes twice',
    run: (bench) =>
      withStore(bench, async (store) => {
        const [a, b, c] = [bench.randomId(), bench.randomId(), bench.randomId()];
        const replica = bench.randomId();
        await store.merge({
          slots: [
            { name: a, replica, version: 1n, net: 1n },
            { name: b, replica, version: 1n, net: 2n },
          ],
          cuts: [],
        });
        const states = await store.read([b, c, a, b]);
        deepStrictEqual(
          states.map((state) => state.slots.get(replica)?.net),
          [2n, undefined, 1n, 2n],
        );
      }),
  },
  {
    title: 'makes a cut by compare-and-set: one of many at once',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const other = await bench.connect();
        try {
          const attempts = Array.from({ length: 8 }, (_, i) => {
            const next = reset(NOTHING.slots, NOTHING.cut, `author ${i}`, BigInt(i), 0);
            return (i % 2 === 0 ? store : other).cut([{ name, expectedVersion: 0n, next }]);
          });
          const made = (await Promise.all(attempts)).flat();
          strictEqual(made.filter(Boolean).length, 1);
          const { cut } = await one(store, name);
          deepStrictEqual(
            cut,
            reset(NOTHING.slots, NOTHING.cut, `author ${made.indexOf(true)}`, BigInt(made.indexOf(true)), 0),
          );
          const late = { ...cut, author: 'late' };
          deepStrictEqual(await store.cut([{ name, expectedVersion: 0n, next: late }]), [false]);
        } finally {
          await other.close();
        }
      }),
  },
  {
    title: 'keeps every part of a cut, and answers for each request of a call',
    run: (bench) =>
      withStore(bench, async (store) => {
        const [a, b] = [bench.randomId(), bench.randomId()];
        const folded = new Map([
          [bench.randomId(), slot(3n, INT64_MIN)],
          [bench.randomId(), slot(INT64_MAX, INT64_MAX)],
        ]);
        const cut: Cut<ReplicaId> = { version: 1n, author: 'ä "\\ {b}', base: INT64_MIN, folded, isDeleted: false };
        const gone: Cut<ReplicaId> = { version: 1n, author: 'x', base: 0n, folded: new Map(), isDeleted: true };
        const made = await store.cut([
          { name: a, expectedVersion: 0n, next: cut },
          { name: b, expectedVersion: 7n, next: { ...cut, version: 8n } },
        ]);
        deepStrictEqual(made, [true, false]);
        deepStrictEqual(await store.cut([{ name: b, expectedVersion: 0n, next: gone }]), [true]);
        deepStrictEqual(
          (await store.read([a, b])).map((state) => state.cut),
          [cut, gone],
        );
      }),
  },
  {
    title: 'keeps a base wider than 64 bits',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const slots = new Map([
          [bench.randomId(), slot(1n, INT64_MAX)],
          [bench.randomId(), slot(1n, INT64_MAX)],
        ]);
        const next = fold(slots, NOTHING.cut, 'heir');
        deepStrictEqual(await store.cut([{ name, expectedVersion: 0n, next }]), [true]);
        strictEqual((await one(store, name)).cut.base, 2n * INT64_MAX);
      }),
  },
  {
    title: 'merges cuts by keeping the newer: by version, then author',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const first = reset(NOTHING.slots, NOTHING.cut, 'b', 1n, 0);
        const rival: Cut<ReplicaId> = { ...first, author: 'a', base: 2n };
        const next = reset(NOTHING.slots, first, 'a', 3n, 0);
        for (const cut of [first, rival]) await store.merge({ slots: [], cuts: [{ name, cut }] });
        deepStrictEqual((await one(store, name)).cut, first);
        for (const cut of [next, first, rival]) await store.merge({ slots: [], cuts: [{ name, cut }] });
        deepStrictEqual((await one(store, name)).cut, next);
      }),
  },
  {
    title: 'counts a late copy of a folded slot for nothing, and a risen one by its excess',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const [dead, alive] = [bench.randomId(), bench.randomId()];
        const at = (replica: ReplicaId, version: bigint, net: bigint): NamedSlot => ({ name, replica, version, net });
        await store.merge({ slots: [at(dead, 4n, 40n), at(alive, 2n, 2n)], cuts: [] });
        const { slots, cut } = await one(store, name);
        const next = fold(new Map([[dead, slots.get(dead) as Slot]]), cut, 'heir');
        deepStrictEqual(await store.cut([{ name, expectedVersion: 0n, next }]), [true]);
        strictEqual(await totalOf(store, name), 42n);
        if (store.guarantees.durable) strictEqual((await one(store, name)).slots.has(dead), false, 'it is dropped');
        await store.merge({ slots: [at(dead, 3n, 30n), at(dead, 4n, 40n)], cuts: [] });
        strictEqual(await totalOf(store, name), 42n);
        await store.merge({ slots: [at(dead, 9n, 45n)], cuts: [] });
        strictEqual(await totalOf(store, name), 47n);
      }),
  },
  {
    title: 'gives back what the loser of two cuts had folded, whichever came first',
    run: (bench) =>
      withStore(bench, async (store) => {
        const [dead, other] = [bench.randomId(), bench.randomId()];
        const loser = fold(new Map([[dead, slot(9n, 1_100n)]]), NOTHING.cut, 'heir');
        const winner: Cut<ReplicaId> = {
          ...reset(new Map([[dead, slot(4n, 100n)]]), loser, 'setter', 6n, 0),
          folded: new Map([
            [dead, slot(4n, 100n)],
            [other, slot(2n, 20n)],
          ]),
        };
        for (const cuts of [
          [loser, winner, loser],
          [winner, loser],
        ]) {
          const name = bench.randomId();
          await store.merge({ slots: [{ name, replica: other, version: 2n, net: 20n }], cuts: [] });
          for (const cut of cuts) await store.merge({ slots: [], cuts: [{ name, cut }] });
          const state = await one(store, name);
          deepStrictEqual(state.cut, winner);
          deepStrictEqual(state.slots.get(dead), slot(9n, 1_100n));
          strictEqual(await totalOf(store, name), 1_006n);
        }
      }),
  },
  {
    title: 'gives back what a cut had folded that a compare-and-set replaces without knowing it',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const [dead, alive] = [bench.randomId(), bench.randomId()];
        const known = fold(new Map([[alive, slot(1n, 5n)]]), NOTHING.cut, 'a');
        const rival = fold(new Map([[dead, slot(3n, 30n)]]), NOTHING.cut, 'b');
        const cursor = (await store.changes(undefined)).cursor;
        await store.merge({ slots: [], cuts: [{ name, cut: rival }] });
        const next = reset(NOTHING.slots, known, 'c', 7n, 0);
        deepStrictEqual(await store.cut([{ name, expectedVersion: 1n, next }]), [true]);
        strictEqual(await totalOf(store, name), 37n);
        const seen = new SeenStates();
        seen.take(await store.changes(cursor));
        strictEqual(seen.total(name), 37n);
      }),
  },
  {
    title: 'keeps the larger net where one version of a slot comes with two',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const nets = [5n, -7n, 5n, 12n, 9n, -20n];
        const replica = bench.randomId();
        for (const net of nets) await store.merge({ slots: [{ name, replica, version: 3n, net }], cuts: [] });
        deepStrictEqual(await slotsOf(store, name), new Map([[replica, slot(3n, 12n)]]));
        const other = bench.randomId();
        for (const net of [-20n, -7n, -100n])
          await store.merge({ slots: [{ name, replica: other, version: 3n, net }], cuts: [] });
        deepStrictEqual((await slotsOf(store, name)).get(other), slot(3n, -7n));
      }),
  },
  {
    title: 'lets a counter be deleted and come back',
    run: (bench) =>
      withStore(bench, async (store) => {
        const name = bench.randomId();
        const replica = bench.randomId();
        await store.merge({ slots: [{ name, replica, version: 1n, net: 5n }], cuts: [] });
        const state = await one(store, name);
        await store.cut([{ name, expectedVersion: 0n, next: remove(state.slots, state.cut, 'authority', 0) }]);
        const gone = await one(store, name);
        strictEqual(exists(gone), false);
        await store.merge({ slots: [{ name, replica, version: 2n, net: 8n }], cuts: [] });
        strictEqual(exists(await one(store, name)), true);
        strictEqual(await totalOf(store, name), 3n);
      }),
  },
];
