// A store that goes back in time: cuts that do not know each other, and slots whose rows were dropped because one of
// them had folded them. Every node keeps what it has learned; some are away when the store goes back, others decide and
// fold meanwhile.
import { expect, it } from 'vitest';
import { seed, seeds } from '../../test/seed.ts';
import { SeededRandom } from '../std/random.ts';
import { type Cut, fold, noCut, remove, reset, total } from './cut.ts';
import { type CounterState, exists, merge } from './merge.ts';
import { NO_SLOT, type Slot } from './slot.ts';

type State = CounterState<string>;

const RUNS = 20_000;
const STEPS = 40;
const NODES = 3;
const EMPTY: State = { slots: new Map(), cut: noCut() };

/** A node: what it knows, which survives a crash, and the incarnation that counts. */
interface Node {
  state: State;
  incarnation: number;
}

/** One counter on a few nodes and a durable store, which drops what is folded. */
class World {
  readonly #random: SeededRandom;
  readonly #nodes: Node[] = Array.from({ length: NODES }, () => ({ state: EMPTY, incarnation: 0 }));
  /** What every incarnation has counted: the truth. */
  readonly #truth = new Map<string, Slot>();
  #store: State = EMPTY;
  #image: State = EMPTY;
  #cuts = 0;
  #nowMs = 1_000;
  /** The last decision. */
  #decided: Cut<string> = noCut();

  /** What becomes of the version of a set or delete. */
  readonly #breaks: (made: Cut<string>, before: Cut<string>) => Cut<string>;

  constructor(seed: number, breaks = (made: Cut<string>, _before: Cut<string>): Cut<string> => made) {
    this.#random = new SeededRandom(seed);
    this.#breaks = breaks;
  }

  /** What the last set or delete was: all were answered, so it stays. */
  get decided(): Cut<string> {
    return this.#decided;
  }

  live(): void {
    for (let step = 0; step < STEPS; step++) {
      this.#nowMs += this.#random.below(5);
      this.#step(this.#random.below(NODES), this.#random.below(20));
    }
  }

  /** Everybody says what he knows, and hears what there is. */
  converge(): State[] {
    for (let round = 0; round < 2; round++) for (const node of this.#nodes) this.#talk(node);
    return [this.#store, ...this.#nodes.map(({ state }) => state)];
  }

  /** What the winning cut says, and every increment that it had not seen. */
  expected({ base, folded }: Cut<string>): bigint {
    let value = base;
    for (const [replica, { net }] of this.#truth) value += net - (folded.get(replica) ?? NO_SLOT).net;
    return value;
  }

  #step(n: number, what: number): void {
    const node = this.#nodes[n] as Node;
    if (what < 7) this.#add(node, n);
    else if (what < 12) this.#talk(node);
    else if (what < 14) this.#cut(node);
    else if (what < 16) this.#crash(node, n);
    else if (what < 18) this.#image = this.#store;
    else this.#store = this.#image;
  }

  #add(node: Node, n: number): void {
    const replica = `${n}.${node.incarnation}`;
    const { version, net } = this.#truth.get(replica) ?? NO_SLOT;
    const slot = { version: version + 1n, net: net + BigInt(this.#random.below(100) - 20) };
    this.#truth.set(replica, slot);
    node.state = merge(node.state, { slots: new Map([[replica, slot]]), cut: noCut() });
  }

  #talk(node: Node): void {
    this.#store = kept(merge(this.#store, node.state));
    node.state = kept(merge(node.state, this.#store));
  }

  /** By compare-and-set on what is in the store, from that and all that is known; at one moment at most one. */
  #cut(node: Node): void {
    this.#nowMs++;
    const { slots, cut } = merge(this.#store, node.state);
    const author = this.#author();
    const made = this.#random.chance(0.7)
      ? reset(slots, cut, author, BigInt(this.#random.below(1000)), this.#nowMs)
      : remove(slots, cut, author, this.#nowMs);
    const next = this.#breaks(made, cut);
    this.#decided = next;
    this.#store = kept(merge(this.#store, { slots: new Map(), cut: next }));
    node.state = kept(merge(node.state, { slots: new Map(), cut: next }));
  }

  /** Its order says nothing. */
  #author(): string {
    return `${this.#random.below(1_000)}/${this.#cuts++}`;
  }

  /**
   * The next incarnation is the heir: it folds what the one before has left, and may know nothing else of the store or
   * of cuts.
   */
  #crash(node: Node, n: number): void {
    this.#store = kept(merge(this.#store, node.state));
    const past = `${n}.${node.incarnation++}`;
    const slot = this.#store.slots.get(past);
    if (slot === undefined) return;
    const next = fold(new Map([[past, slot]]), this.#store.cut, this.#author());
    this.#store = kept({ slots: this.#store.slots, cut: next });
    node.state = kept(merge(node.state, { slots: new Map(), cut: next }));
  }
}

/** Without the slots that the cut has folded. */
function kept({ slots, cut }: State): State {
  const isLeft = (replica: string, { version }: Slot): boolean =>
    version > (cut.folded.get(replica) ?? NO_SLOT).version;
  return { slots: new Map([...slots].filter(([replica, slot]) => isLeft(replica, slot))), cut };
}

function isFoldOf(cut: Cut<string>, { version }: Cut<string>): boolean {
  return cut.version > version && cut.version < version + BigInt(STEPS);
}

/** What sets and deletes must not do with their versions. */
const MUTATIONS = {
  'a decision takes no more than a fold': (made: Cut<string>, { version }: Cut<string>) => ({
    ...made,
    version: version + 1n,
  }),
  'a decision leaves the clock out': (made: Cut<string>, { version }: Cut<string>) => ({
    ...made,
    version: ((version >> 20n) + 1n) << 20n,
  }),
};
const MUTATION_RUNS = 2_000;

it('loses no increment and not the last set or deletion, in 20 000 random histories of a store that goes back', () => {
  let rivals = 0;
  for (const seed of seeds(RUNS)) {
    const world = new World(seed);
    world.live();
    const states = world.converge();
    const [store] = states as [State];
    for (const state of states) {
      expect(state.cut, `seed ${seed}`).toBe(store.cut);
      expect(total(state.slots, state.cut), `seed ${seed}`).toBe(world.expected(state.cut));
      expect(exists(state), `seed ${seed}`).toBe(exists(store));
      // Of all decisions the last one counts, and what was folded into it since.
      expect(state.cut === world.decided || isFoldOf(state.cut, world.decided), `seed ${seed}`).toBe(true);
    }
    if (store.slots.size > NODES) rivals++;
  }
  expect(rivals, 'slots were given back').toBeGreaterThan(0);
});

it.each(Object.entries(MUTATIONS))('notices that %s', (_, breaks) => {
  const isFound = seeds(MUTATION_RUNS).some((seed) => {
    const world = new World(seed, breaks);
    world.live();
    const [store] = world.converge() as [State];
    return store.cut !== world.decided && !isFoldOf(store.cut, world.decided);
  });
  expect(isFound).toBe(true);
});

it('is a semilattice over states whose cuts do not know each other', () => {
  const slots = (...entries: [string, bigint, bigint][]) =>
    new Map(entries.map(([replica, version, net]) => [replica, { version, net }]));
  const cut = (version: bigint, author: string, folded: Map<string, Slot>): Cut<string> => ({
    version,
    author,
    base: BigInt(author.charCodeAt(0)),
    folded,
    isDeleted: false,
  });
  const random = new SeededRandom(seed);
  const some = () =>
    slots(...['a', 'b', 'c'].flatMap((r): [string, bigint, bigint][] => (random.chance(0.6) ? [nth(r)] : [])));
  const nth = (replica: string): [string, bigint, bigint] => {
    const version = BigInt(1 + random.below(4));
    return [replica, version, version * 10n];
  };
  const contents = new Map<string, Cut<string>>();
  const any = (): State => {
    const [version, author] = [BigInt(1 + random.below(3)), random.pick(['x', 'y', 'z'])];
    const name = `${version} ${author}`;
    if (!contents.has(name)) contents.set(name, cut(version, author, some()));
    return kept({ slots: some(), cut: contents.get(name) as Cut<string> });
  };
  const plain = (state: State) => {
    const { slots: left, cut: winner } = kept(state);
    return { slots: [...left].sort(), author: winner.author, version: winner.version };
  };
  for (let run = 0; run < 3_000; run++) {
    const [a, b, c] = [any(), any(), any()];
    expect(plain(merge(a, a))).toEqual(plain(a));
    expect(plain(merge(a, b))).toEqual(plain(merge(b, a)));
    expect(plain(merge(merge(a, b), c))).toEqual(plain(merge(a, merge(b, c))));
  }
});
