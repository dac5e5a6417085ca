import { describe, expect, it } from 'vitest';
import { fc } from '../../test/property.ts';
import { INT64_MAX, INT64_MIN } from '../counter/int64.ts';
import { fold, newerCut, noCut, remove, reset, total } from './cut.ts';
import { type CounterState, exists, merge } from './merge.ts';
import { addToSlot, isForked, mergeSlots, NO_SLOT, newerSlot, type Slot } from './slot.ts';

type State = CounterState<number>;

const REPLICAS = 4;
const EMPTY: State = { slots: new Map(), cut: noCut() };

/**
 * A small world: replicas that count, an authority that cuts, and copies of the state that travel between them late,
 * twice and in any order. `everSent` holds every state that was ever on the way; a zombie is an old one of them.
 */
type Step =
  | { readonly do: 'add'; readonly replica: number; readonly amount: bigint }
  | { readonly do: 'send'; readonly from: number; readonly to: number }
  | { readonly do: 'resend'; readonly which: number; readonly to: number }
  | { readonly do: 'fold'; readonly drop: boolean }
  | { readonly do: 'reset'; readonly value: bigint }
  | { readonly do: 'remove' };

const AUTHORITY = REPLICAS;
const replica = fc.nat({ max: REPLICAS - 1 });
const place = fc.nat({ max: AUTHORITY });
const amount = fc.bigInt({ min: -1000n, max: 1000n });
const counting: fc.Arbitrary<Step>[] = [
  fc.record({ do: fc.constant('add' as const), replica, amount }),
  fc.record({ do: fc.constant('send' as const), from: place, to: place }),
  fc.record({ do: fc.constant('resend' as const), which: fc.nat(), to: place }),
  fc.record({ do: fc.constant('fold' as const), drop: fc.boolean() }),
];
const cutting: fc.Arbitrary<Step>[] = [
  fc.record({ do: fc.constant('reset' as const), value: amount }),
  fc.record({ do: fc.constant('remove' as const) }),
];

class World {
  readonly states: State[] = Array.from({ length: REPLICAS + 1 }, () => EMPTY);
  readonly everSent: State[] = [EMPTY];
  /** What each replica's slot is: it knows best. */
  readonly own: Slot[] = Array.from({ length: REPLICAS }, () => NO_SLOT);
  /** The plain PN-counter: per replica what was added and what was taken away. */
  readonly positive: bigint[] = Array.from({ length: REPLICAS }, () => 0n);
  readonly negative: bigint[] = Array.from({ length: REPLICAS }, () => 0n);
  /** The last reset: its value, and the sum that it had seen of each replica. */
  resetValue = 0n;
  seen: bigint[] = Array.from({ length: REPLICAS }, () => 0n);

  run(steps: readonly Step[]): void {
    for (const step of steps) this.#step(step);
  }

  /** Everybody hears of everything. */
  converged(): State {
    return this.states.reduce((all, state) => merge(all, state), EMPTY);
  }

  /** What the plain counter says. */
  expected(): bigint {
    return this.own.reduce((sum, _, i) => sum + this.#total(i) - (this.seen[i] as bigint), this.resetValue);
  }

  #total(i: number): bigint {
    return (this.positive[i] as bigint) - (this.negative[i] as bigint);
  }

  #step(step: Step): void {
    if (step.do === 'add') this.#add(step.replica, step.amount);
    else if (step.do === 'send') this.#receive(step.to, this.states[step.from] as State);
    else if (step.do === 'resend') this.#receive(step.to, this.everSent[step.which % this.everSent.length] as State);
    else this.#cut(step);
  }

  #add(i: number, by: bigint): void {
    const slot = addToSlot(this.own[i] as Slot, by, (this.own[i] as Slot).version + 1n) as Slot;
    this.own[i] = slot;
    if (by >= 0n) this.positive[i] = (this.positive[i] as bigint) + by;
    else this.negative[i] = (this.negative[i] as bigint) - by;
    this.#receive(i, { slots: new Map([[i, slot]]), cut: noCut() });
  }

  #receive(to: number, state: State): void {
    this.states[to] = merge(this.states[to] as State, state);
    this.everSent.push(state);
  }

  #cut(step: Step): void {
    const state = this.states[AUTHORITY] as State;
    const { slots, cut } = state;
    if (step.do === 'fold') {
      const folded = fold(slots, cut, 'authority');
      expect(total(slots, folded), 'a fold leaves the value as it was').toBe(total(slots, cut));
      const kept: State = { slots: step.drop ? new Map() : slots, cut: folded };
      expect(total(kept.slots, folded), 'also without the slots').toBe(total(slots, cut));
      expect(exists(kept)).toBe(exists(state) || cut.version === 0n);
      this.states[AUTHORITY] = kept;
      return;
    }
    this.resetValue = step.do === 'reset' ? step.value : 0n;
    // What the authority knows of a replica: the newer of its slot and its folded slot.
    const known = mergeSlots(cut.folded, slots);
    this.seen = this.seen.map((_, i) => (known.get(i) ?? NO_SLOT).net);
    const next =
      step.do === 'reset' ? reset(slots, cut, 'authority', step.value, 0) : remove(slots, cut, 'authority', 0);
    this.states[AUTHORITY] = { slots, cut: next };
    expect(exists(this.states[AUTHORITY] as State)).toBe(step.do === 'reset');
  }
}

function plain({ slots, cut }: State): unknown {
  const sorted = (map: ReadonlyMap<number, Slot>) => [...map].sort(([a], [b]) => a - b);
  return { slots: sorted(slots), cut: { ...cut, folded: sorted(cut.folded) } };
}

/** States that can meet: they come from one world, so that a version has one content. */
const states = fc.array(fc.oneof(...counting, ...cutting), { maxLength: 40 }).map((steps) => {
  const world = new World();
  world.run(steps);
  return [...world.everSent, ...world.states];
});

describe('merge', () => {
  it('is idempotent, commutative and associative', () => {
    fc.assert(
      fc.property(states, fc.nat(), fc.nat(), fc.nat(), (all, i, j, k) => {
        const [a, b, c] = [i, j, k].map((n) => all[n % all.length] as State) as [State, State, State];
        expect(plain(merge(a, a))).toEqual(plain(a));
        expect(plain(merge(a, b))).toEqual(plain(merge(b, a)));
        expect(plain(merge(merge(a, b), c))).toEqual(plain(merge(a, merge(b, c))));
      }),
      { numRuns: 500 },
    );
  });

  it('counts as a plain PN-counter does, with copies late, twice, out of order, and slots risen after a fold', () => {
    const steps = fc.array(fc.oneof(...counting), { maxLength: 80 });
    fc.assert(
      fc.property(steps, (all) => {
        const world = new World();
        world.run(all);
        const { slots, cut } = world.converged();
        expect(total(slots, cut)).toBe(world.expected());
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps what a reset or a deletion had not seen', () => {
    const steps = fc.array(fc.oneof(...counting, ...cutting), { maxLength: 80 });
    fc.assert(
      fc.property(steps, (all) => {
        const world = new World();
        world.run(all);
        const { slots, cut } = world.converged();
        expect(total(slots, cut)).toBe(world.expected());
      }),
      { numRuns: 1000 },
    );
  });

  it('takes a slot that is no newer than its folded entry for nothing', () => {
    fc.assert(
      fc.property(states, (all) => {
        for (const { slots, cut } of all) {
          expect(total(slots, cut)).toBe(total(mergeSlots(cut.folded, slots), cut));
        }
      }),
    );
    const cut = fold(new Map([['a', { version: 2n, net: 10n }]]), noCut<string>(), 'authority');
    expect(total(new Map([['a', { version: 1n, net: 4n }]]), cut)).toBe(10n);
  });

  it('takes one and the same content for everybody when one version comes with two', () => {
    const [one, two] = [
      { version: 1n, net: 1n },
      { version: 1n, net: 2n },
    ];
    expect([newerSlot(one, two), newerSlot(two, one)]).toEqual([two, two]);
    expect([isForked(one, two), isForked(one, one), isForked(one, { version: 2n, net: 3n })]).toEqual([
      true,
      false,
      false,
    ]);
    const cut = reset(new Map(), noCut<number>(), 'a', 1n, 0);
    const others = [
      { ...cut, base: 2n },
      { ...cut, isDeleted: true },
      { ...cut, folded: new Map([[1, one]]) },
      { ...cut, author: 'b', base: 0n },
    ];
    for (const other of others) expect(newerCut(cut, other)).toEqual(newerCut(other, cut));
    expect(newerCut(cut, others[3] as typeof cut).author).toBe('b');
  });
});

describe('a slot', () => {
  it('refuses an update that leads out of 64 bits, and can go back from the ends', () => {
    const full = addToSlot(NO_SLOT, INT64_MAX, 1n) as Slot;
    expect(addToSlot(full, 1n, 2n)).toBe(undefined);
    expect(addToSlot(full, -1n, 2n)).toEqual({ version: 2n, net: INT64_MAX - 1n });
    const empty = addToSlot(NO_SLOT, INT64_MIN, 1n) as Slot;
    expect(addToSlot(empty, -1n, 2n)).toBe(undefined);
    expect(addToSlot(empty, INT64_MAX, 2n)).toEqual({ version: 2n, net: -1n });
  });

  it('does not go back', () => {
    expect(() => addToSlot({ version: 5n, net: 0n }, 1n, 5n)).toThrow('grows');
  });
});

describe('a deleted counter', () => {
  it('is gone until someone counts whom the deletion had not seen, and then has only what he counted', () => {
    const slots = new Map([['a', { version: 3n, net: 10n }]]);
    const cut = remove(slots, noCut<string>(), 'authority', 0);
    expect(exists({ slots, cut })).toBe(false);
    expect(exists({ slots, cut: fold(slots, cut, 'authority') })).toBe(false);
    const later = mergeSlots(slots, new Map([['b', { version: 1n, net: 4n }]]));
    expect(exists({ slots: later, cut })).toBe(true);
    expect(total(later, cut)).toBe(4n);
    expect(exists({ slots: new Map(), cut: fold(later, cut, 'authority') })).toBe(true);
  });
});
