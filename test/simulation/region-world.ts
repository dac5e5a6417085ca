/**
 * A whole region in this process, from one seed: nodes with the real engine and the real exchange, one store, clients,
 * and everything that can go wrong between them. While it lives an oracle watches every answer; `heal` then ends all
 * faults, waits until everything has come together, and compares what is there with what the clients were told.
 */
import { total } from '../../src/crdt/cut.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { Disk } from '../../src/host/host.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { MemoryStore } from '../../src/store/memory/memory-store.ts';
import type { Assertion, SlotStore } from '../../src/store/slot-store.ts';
import { SimulatedDisk } from './disk.ts';
import { type SimulatedHost, simulatedHost } from './host.ts';
import { Link } from './network.ts';
import { OracleComplaint } from './oracle.ts';
import { SimulatedProcess } from './process.ts';
import { Accounts, CLIENTS, Tally } from './region-accounts.ts';
import { RegionClient } from './region-client.ts';
import { CUT_NAME, CutAccounts } from './region-cuts.ts';
import { RegionFaults } from './region-faults.ts';
import { LEASE_MS, RegionNode } from './region-node.ts';
import type { Directory, RegionWorldOptions, Running, World } from './world.ts';

const STEP_MS = 16;
const HEALING_MS_MAX = 40_000;
/** The longest pause of a publisher after failures, and its journal's sync. */
const PUBLISHER_MS = 2_500;
const PATIENCE_MS = 60_000;

export class RegionWorld implements World {
  readonly options: RegionWorldOptions;
  readonly random: SeededRandom;
  readonly host: SimulatedHost;
  readonly store: MemoryStore;
  readonly directories: Directory[] = [];
  readonly accounts = new Accounts();
  readonly cuts = new CutAccounts();
  readonly names: readonly string[];
  /** What the run met, so that a test can tell that it tested something. */
  readonly counts: Record<string, number> = {};
  readonly #clients: RegionClient[];
  readonly #faults: RegionFaults;
  #failure: Error | undefined;

  constructor(options: RegionWorldOptions) {
    this.options = options;
    const { seed, durable = true, nodes = 3, names = 4 } = options;
    this.random = new SeededRandom(seed);
    this.host = simulatedHost(seed);
    const make = options.store ?? ((its: { id: string; durable: boolean }) => new MemoryStore(its));
    this.store = make({ id: 'store', durable });
    this.names = Array.from({ length: names }, (_, i) => `counter:${i}`);
    this.#clients = Array.from({ length: CLIENTS }, (_, c) => new RegionClient(c, this));
    this.#faults = new RegionFaults(this);
    for (let i = 0; i < nodes; i++) this.addDirectory(this.newDisk());
  }

  get isDurable(): boolean {
    return this.store.guarantees.durable;
  }

  get nowMs(): number {
    return this.host.clock.monotonicMs();
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** A promise is broken. */
  complain(what: string): void {
    this.#failure ??= new OracleComplaint(this.#when(what));
  }

  /** The nodes or this world do not work, which says nothing about what they have counted. */
  fail(what: string): void {
    this.#failure ??= new Error(this.#when(what));
  }

  #when(what: string): string {
    return `seed ${this.options.seed}, at ${Math.round(this.nowMs)} ms: ${what}`;
  }

  newDisk(): SimulatedDisk {
    const latencyMs = this.random.pick([1, 4, 20]);
    return new SimulatedDisk({ seed: this.random.uint32(), clock: this.host.clock, latencyMs });
  }

  addDirectory(disk: SimulatedDisk, floor = new Tally()): Directory {
    const directory: Directory = { index: this.directories.length, disk, running: undefined, floor };
    this.directories.push(directory);
    return directory;
  }

  /** Lets the clients work with faults under way. */
  async live(steps: number): Promise<void> {
    for (const directory of this.directories) if (directory.running === undefined) this.open(directory);
    for (let step = 0; step < steps; step++) {
      this.#faults.step();
      this.cuts.isOver = step > steps * 0.6;
      for (const client of this.#clients) if (this.random.chance(0.5)) client.step();
      await this.advance(this.random.fraction() * STEP_MS);
    }
  }

  /** Ends all faults; returns when everything has come together, and was found to be right. */
  async heal(): Promise<void> {
    this.#faults.end();
    await this.until('nodes have stopped', () => !this.directories.some(({ running }) => running?.isStopping));
    await this.until('the clients end', () => this.#clients.every((client) => !client.isBusy));
    for (const { running } of this.directories) {
      if (running?.node !== undefined && running.node.exchange.info().store?.replica !== running.replica)
        this.count('begunAnew');
    }
    await this.converge();
    await this.judgeAll();
    await this.cuts.judge(this);
    await this.advance(0);
  }

  async advance(byMs: number): Promise<void> {
    await this.host.clock.advance(byMs);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async inTime<T>(what: string, work: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    work.then(settle, settle);
    await this.until(what, () => isSettled);
    return work;
  }

  async until(what: string, isTrue: () => boolean, withinMs = PATIENCE_MS): Promise<void> {
    const endMs = this.nowMs + withinMs;
    await this.host.clock.settle();
    while (!isTrue()) {
      if (this.nowMs > endMs) this.fail(`never: ${what}`);
      await this.advance(10);
    }
  }

  /** Everything that is running and open. */
  get nodes(): RegionNode[] {
    return this.directories.flatMap(({ running }) => running?.node ?? []);
  }

  async converge(): Promise<void> {
    await this.until('all nodes are open', () => {
      // Also those whose start was under way when the store could not be reached.
      for (const directory of this.directories) if (directory.running === undefined) this.open(directory);
      return this.nodes.length === this.directories.length;
    });
    for (const node of this.nodes) for (const name of [...this.names, CUT_NAME]) await this.read(node, name);
    await this.until(
      'everything is confirmed',
      () => this.nodes.every((node) => node.exchange.info().store?.backlog === 0),
      HEALING_MS_MAX,
    );
    await this.until('what crashed is folded', () => this.nodes.every((node) => this.#isFolded(node)), HEALING_MS_MAX);
    const isAnswering = (node: RegionNode): boolean => node.exchange.info().store?.isAnswering === true;
    await this.until('all nodes are in touch', () => this.nodes.every(isAnswering), HEALING_MS_MAX);
    // Every poll comes within this, and every sweep; in the other modes what was just counted is in no backlog yet.
    await this.advance(this.options.durability === undefined ? LEASE_MS : LEASE_MS + PUBLISHER_MS);
  }

  /** The value, as soon as the node can tell it. */
  async read(node: RegionNode, name: string): Promise<bigint> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const read = await this.inTime(`a read of ${name}`, node.get(name));
      if (read.kind === 'done') return read.value;
      if (attempt === 99) this.fail(`after healing ${name} can't be read: ${read.code}`);
      await this.advance(50);
    }
    return 0n;
  }

  /** All nodes and the store agree, and every number is one that it may be. */
  async judgeAll(): Promise<void> {
    for (const name of this.names) {
      const [state] = this.store.read([name]);
      const stored = state === undefined ? 0n : total(state.slots, state.cut);
      this.#judge('the store', name, stored);
      for (const { index, running } of this.directories) {
        const value = await this.read(running?.node as RegionNode, name);
        if (value !== stored) this.complain(`node ${index} reads ${value} as ${name}, the store has ${stored}`);
      }
    }
    await this.advance(0);
  }

  #judge(what: string, name: string, value: bigint): void {
    const complaint = this.accounts.judge(what, name, value, this.accounts.acknowledged.of(name));
    if (complaint !== undefined) this.complain(complaint);
  }

  #isFolded({ identity }: RegionNode): boolean {
    // The original of a copied directory may go on for ever.
    const alive = new Set(this.nodes.map((node) => node.exchange.info().store?.replica));
    const past = identity.document.incarnations.filter(({ id }) => !alive.has(id));
    if (this.isDurable) return past.every(({ foldedAt }) => foldedAt !== undefined);
    const leases = new Map(this.store.leases().map((lease) => [lease.replica, lease.document]));
    return past.every(({ id }) => leases.get(id)?.includes('"folded"'));
  }

  /** Starts a process on the directory. */
  open(directory: Directory): void {
    const process = new SimulatedProcess(this.host.clock, this.random.uint32(), this.options.clocksAgree);
    const broken = (error: unknown): void => this.fail(`the store: ${String(error)}`);
    const link = new Link(this.host.clock, new SeededRandom(this.random.uint32()), process, broken);
    const running: Running = {
      process,
      link,
      node: undefined,
      replica: undefined,
      isStopping: false,
      floor: directory.floor.copy(),
      seen: new Tally(),
      own: new Tally(),
      warm: new Set(),
    };
    directory.running = running;
    const {
      durability,
      ack,
      memoryBytes,
      keepFoldedMs,
      between = (inner) => inner,
      opened,
      diskBetween = (disk: Disk) => disk,
    } = this.options;
    const opening = RegionNode.open({
      disk: process.diskOf(diskBetween(directory.disk)),
      host: process,
      store: this.store,
      line: link.line,
      ...(durability === undefined ? {} : { durability }),
      ...(ack === undefined ? {} : { ack }),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      ...(keepFoldedMs === undefined ? {} : { keepFoldedMs }),
      between: (inner, engine) => this.#watched(between(inner, engine), engine, running),
      ...(opened === undefined ? {} : { opened }),
      onFatal: (error) =>
        this.fail(`node ${directory.index} ended: ${String(error instanceof Error ? error.stack : error)}`),
    });
    opening.then(
      (node) => {
        if (process.isDead) return;
        running.node = node;
        running.replica = node.exchange.info().store?.replica;
      },
      (error: unknown) => {
        if (process.isDead) return;
        // A first meeting waits for the store, not for ever.
        this.count('failedStarts');
        const isRefused = this.counts['strangers'] !== undefined && String(error).includes('belongs to another store');
        if (!isRefused && (!(error instanceof Error) || error.name !== 'StoreError'))
          this.fail(`node ${directory.index} can't start: ${String(error)}`);
        this.end(directory, 'kill');
      },
    );
  }

  /** Nothing leaves a node before its journal holds it. */
  #watched(inner: SlotStore, engine: Engine, running: Running): SlotStore {
    const merge = inner.merge.bind(inner);
    return Object.assign(inner, {
      merge: (assertion: Assertion) => {
        const own = running.node?.exchange.info().store?.replica;
        for (const { name, replica, version } of assertion.slots) {
          if (replica === own && version > engine.durableSequence)
            this.complain(`${name} left in version ${version} before it was durable`);
        }
        return merge(assertion);
      },
    });
  }

  /** The process is gone, with the power or without. */
  end(directory: Directory, how: 'kill' | 'crash'): void {
    const { running } = directory;
    if (running === undefined) return;
    running.process.die();
    for (const client of this.#clients) client.forget(running);
    this.cuts.forget(running, this.nowMs);
    directory.disk = how === 'crash' ? directory.disk.crash() : directory.disk.kill();
    directory.running = undefined;
  }

  stop(directory: Directory): Promise<void> {
    const running = directory.running as Running;
    running.isStopping = true;
    return (running.node as RegionNode).close().then(() => {
      if (directory.running === running) this.end(directory, 'kill');
    });
  }

  /** Runs, and takes calls. */
  available(): { readonly directory: Directory; readonly running: Running }[] {
    return this.directories.flatMap((directory) => {
      const { running } = directory;
      const isThere = running?.node !== undefined && !running.isStopping && running.process.isRunning;
      return isThere ? [{ directory, running }] : [];
    });
  }
}
