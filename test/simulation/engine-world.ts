/**
 * The real engine over a simulated disk, from one seed: clients call it, the disk fails and the power goes at any
 * operation, and after every recovery an oracle compares what is there with what the clients were told.
 */
import { Chunk, Flag, Op } from '../../src/counter/chunk.ts';
import { DONE } from '../../src/counter/errors.ts';
import type { Policy } from '../../src/counter/policy.ts';
import type { Durability } from '../../src/counter/service.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { Disk } from '../../src/host/host.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { type Fault, SimulatedDisk } from './disk.ts';
import { digits, type Floor, SHARED, SimulatedClient } from './engine-client.ts';
import { type SimulatedHost, simulatedHost } from './host.ts';
import { OracleComplaint } from './oracle.ts';
import { WrittenGroups } from './written-groups.ts';

export interface EngineWorldOptions {
  readonly seed: number;
  readonly durability?: Durability;
  /** The mode whose promise is judged; another one than it runs in, to see that the oracle notices. */
  readonly promised?: Durability;
  /** The disk never fails and the power never goes: only the process is killed. */
  readonly onlyKills?: boolean;
  readonly policies?: readonly Policy[];
  /** Puts something between the engine and the disk: the mutations. */
  readonly between?: (disk: Disk) => Disk;
}

const CLIENTS = 4;
const STEP_MS = 2;
const PAUSE_MS = 31_000;

export class EngineWorld {
  readonly #options: EngineWorldOptions;
  readonly #random: SeededRandom;
  readonly #host: SimulatedHost;
  #disk: SimulatedDisk;
  #engine: Engine | undefined;
  #clients: SimulatedClient[] = [];
  #written = new WrittenGroups();
  /** Of each client, what the next recovery must show. */
  #floors: (Floor | undefined)[] = [];
  /** What the runs met, so that a test can tell that it tested something. */
  readonly counts = { crashes: 0, kills: 0, faults: 0, repairs: 0, snapshots: 0, calls: 0, stops: 0, refusedStops: 0 };

  constructor(options: EngineWorldOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#host = simulatedHost(options.seed + 1);
    this.#disk = new SimulatedDisk({ seed: options.seed + 2, clock: this.#host.clock, latencyMs: 3 });
  }

  /** A life: opens, lets the clients work with faults under way, and ends by a crash, a kill or a clean stop. */
  async live(steps: number): Promise<void> {
    await this.#open();
    const random = this.#random;
    this.#plan();
    const stopped = random.chance(0.7) ? this.#stopAt(random.below(steps) + 1) : undefined;
    const stopsInRepair = random.chance(0.3);
    for (let step = 0; step < steps && !stopped?.isOver(); step++) {
      if (stopsInRepair && this.#running.state === 'failing') break;
      for (const client of this.#clients) if (random.chance(0.8)) this.#step(client);
      if (random.chance(0.01)) this.#snapshot();
      if (random.chance(0.02)) this.#disk.release();
      // Now and then a pause beyond the journal's write deadline: what hangs has failed by then.
      await this.#host.clock.advance(random.chance(0.005) ? PAUSE_MS : random.fraction() * STEP_MS);
      this.#complain();
    }
    const isFailing = this.#running.state === 'failing';
    if (!isFailing || random.chance(0.5)) this.#disk.release();
    const isStopped = (isFailing || random.chance(0.3)) && (await this.#stop(stopped));
    this.#end(isStopped);
  }

  /** A clean stop, in the middle of a repair perhaps. @returns whether it says that everything is durable */
  async #stop(stopped: { isOver: () => boolean } | undefined): Promise<boolean> {
    let outcome: 'durable' | 'refused' | undefined;
    this.#running.close().then(
      () => {
        outcome = 'durable';
      },
      () => {
        outcome = 'refused';
      },
    );
    for (let waitedMs = 0; outcome === undefined && stopped?.isOver() !== true; waitedMs += 20) {
      await this.#host.clock.advance(20);
      if (waitedMs > PAUSE_MS) this.#disk.release();
    }
    this.#complain();
    if (outcome === 'durable') this.counts.stops++;
    if (outcome === 'refused') this.counts.refusedStops++;
    return outcome === 'durable';
  }

  /** The process or the power goes; what it may take with it depends on the mode. */
  #end(isStopped: boolean): void {
    const { durability = 'always', promised = durability, onlyKills = false } = this.#options;
    const isCrash = !onlyKills && this.#random.chance(0.7);
    const keepsAll = isStopped || promised === 'always' || (promised === 'interval' && !isCrash);
    const through = isCrash ? this.#running.durableSequence : this.#written.sequence;
    this.#floors = this.#clients.map((client) =>
      keepsAll ? client.allAcknowledged : client.acknowledgedThrough(through),
    );
    this.#disk = isCrash ? this.#disk.crash() : this.#disk.kill();
    if (isCrash) this.counts.crashes++;
    else this.counts.kills++;
  }

  /** The end: no more faults, every open key is settled, and every number is exact. */
  async settle(): Promise<void> {
    await this.#open();
    while (this.#clients.some((client) => client.isKeyOpen || client.isBusy)) {
      for (const client of this.#clients) client.step(this.#host.clock.nowMs(), true);
      await this.#host.clock.advance(STEP_MS);
    }
    this.#complain();
    await this.#inTime(this.#running.close());
    this.#end(true);
    await this.#open();
  }

  get #running(): Engine {
    if (this.#engine === undefined) throw new Error('no engine runs');
    return this.#engine;
  }

  #step(client: SimulatedClient): void {
    this.counts.calls++;
    client.step(this.#host.clock.nowMs());
  }

  async #open(): Promise<void> {
    const { durability = 'always', policies = [], between = (disk: Disk) => disk } = this.#options;
    this.#engine = await this.#inTime(
      Engine.open({
        disk: this.#written.over(between(this.#disk)),
        host: this.#host,
        durability,
        policies,
        segmentBytesMax: 20_000,
        // Also in part of the worlds: not at all.
        allocateBytes: (this.#options.seed % 3) * 2048,
        snapshotJournalBytes: 60_000,
        onFailure: () => {
          this.counts.faults++;
        },
        onRepaired: () => {
          this.counts.repairs++;
        },
      }),
    );
    if (this.#clients.length === 0) {
      for (let index = 0; index < CLIENTS; index++) {
        this.#clients.push(new SimulatedClient(index, CLIENTS, this.#random, this.#engine));
      }
    }
    for (const client of this.#clients) client.reconnect(this.#engine);
    await this.#judge();
  }

  /** Some of the next operations fail or hang. */
  #plan(): void {
    if (this.#options.onlyKills === true || this.#random.chance(0.2)) return;
    // Now and then until the end of this life, so that no repair succeeds before a stop gives up.
    const isForGood = this.#random.chance(0.1);
    const count = isForGood ? 1000 : 1 + this.#random.below(4);
    const first = this.#disk.operations + this.#random.below(300);
    const isBurst = isForGood || this.#random.chance(0.5);
    for (let i = 0; i < count; i++) {
      const operation = isBurst ? first + i : this.#disk.operations + 1 + this.#random.below(600);
      this.#disk.failAt(operation, isForGood ? 'ENOSPC' : this.#random.pick<Fault>(['ENOSPC', 'EIO', 'hang']));
    }
  }

  #stopAt(operations: number): { isOver: () => boolean } {
    let isOver = false;
    void this.#disk.stopAt(this.#disk.operations + operations).then(() => {
      isOver = true;
    });
    return { isOver: () => isOver };
  }

  #snapshot(): void {
    this.#running.snapshot().then(
      () => {
        this.counts.snapshots++;
      },
      () => {
        this.counts.faults++;
      },
    );
  }

  #complain(): void {
    for (const { index, complaint } of this.#clients) {
      if (complaint !== undefined)
        throw new OracleComplaint(`seed ${this.#options.seed}: client ${index}: ${complaint}`);
    }
  }

  /** The oracle: what is there against what the clients were told. */
  async #judge(): Promise<void> {
    const names = this.#clients.flatMap((client) => [client.keyedName, ...client.pairNames, client.ownName]);
    const values = await this.#readAll([SHARED, ...names]);
    const complain = (what: string): never => {
      throw new OracleComplaint(`seed ${this.#options.seed}: ${what}`);
    };
    const { durability = 'always', promised = durability } = this.#options;
    const shared = digits(values.get(SHARED) ?? 0n, CLIENTS);
    for (const client of this.#clients) {
      const { index } = client;
      const floor = this.#floors[index] ?? { shared: 0, pair: 0, keys: 0, ownAt: 0 };
      within(`client ${index} in the shared counter`, shared[index], floor.shared, client.shared, complain);
      for (const other of this.#clients) {
        if (shared[index] >= other.seen[index]) continue;
        // Only in mode `always` do reads wait.
        if (promised === 'always') complain(`client ${other.index} read ${other.seen[index]} of client ${index}`);
        other.seen[index] = shared[index];
      }
      const keys = Number(values.get(client.keyedName) ?? 0n);
      const keyed = { acknowledged: client.settledKeys, unknown: client.isKeyOpen ? 1 : 0 };
      within(`keys of client ${index}`, keys, floor.keys, keyed, complain);
      const [a, b] = client.pairNames.map((name) => Number(values.get(name) ?? 0n));
      within(`pairs of client ${index}`, a, floor.pair, client.pair, complain);
      if (a !== b) complain(`an atomic pair of client ${index} was torn: ${a} and ${b}`);
      const own = values.get(client.ownName);
      const owns = client.ownSince(floor.ownAt);
      if (!owns.has(own)) complain(`${client.ownName} is ${own}, expected one of ${[...owns].join(', ')}`);
      client.settle(shared[index], a, keys, own);
    }
  }

  async #readAll(names: readonly string[]): Promise<Map<string, bigint>> {
    const chunk = new Chunk();
    for (const name of names) chunk.pushName(Op.get, name);
    await this.#inTime(
      new Promise<void>((resolve) => {
        chunk.complete = resolve;
        this.#running.submit(chunk);
      }),
    );
    const values = new Map<string, bigint>();
    for (const [i, name] of names.entries()) {
      if (chunk.code[i] !== DONE) throw new Error(`seed ${this.#options.seed}: ${name} cannot be read`);
      if (chunk.hasFlag(i, Flag.existed)) values.set(name, chunk.valueAt(i));
    }
    return values;
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    work.then(settle, settle);
    await Promise.resolve();
    while (!isSettled) await this.#host.clock.advance(20);
    return work;
  }
}

function within(
  what: string,
  count: number,
  floor: number,
  account: { readonly acknowledged: number; readonly unknown: number },
  complain: (what: string) => never,
): void {
  const { acknowledged, unknown } = account;
  if (count < floor)
    complain(`${what}: ${acknowledged} were acknowledged, ${floor} of them for good, ${count} are there`);
  if (count > acknowledged + unknown)
    complain(`${what}: ${acknowledged} acknowledged and ${unknown} unknown, ${count} are there`);
}
