/** What goes wrong in a simulated region, from its seed: with its nodes, its disks, its network and its store. */
import { total } from '../../src/crdt/cut.ts';
import { MemoryStore } from '../../src/store/memory/memory-store.ts';
import { CALM, type Partition, ROUGH, STORM } from './network.ts';
import { digitsOf, Tally } from './region-accounts.ts';
import { LEASE_MS } from './region-node.ts';
import type { Directory, FaultRates, Running, World } from './world.ts';

const DIRECTORIES_MAX = 6;

export const FAULTS: FaultRates = {
  weather: 0.05,
  partition: 0.02,
  pause: 0.02,
  stop: 0.01,
  kill: 0.01,
  crash: 0.015,
  copy: 0.008,
  loseDisk: 0,
  rollBack: 0.01,
  another: 0.004,
  jump: 0.02,
};

export class RegionFaults {
  readonly #world: World;
  /** The store as it was. */
  #image: (() => void) | undefined;
  /** What is in its place. */
  #another: MemoryStore | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** What happens in one step. */
  step(): void {
    const rates = { ...FAULTS, ...this.#world.options.faults };
    const { random } = this.#world;
    const directory = random.pick(this.#world.directories);
    const { running } = directory;
    if (running === undefined) {
      if (random.chance(0.05) && this.#another === undefined) this.#world.open(directory);
      return;
    }
    if (random.chance(rates.weather)) running.link.weather = random.pick([CALM, CALM, ROUGH, STORM]);
    if (random.chance(rates.partition)) this.#partition([running]);
    if (random.chance(rates.partition / 4))
      this.#partition(this.#world.directories.flatMap((one) => one.running ?? []));
    if (random.chance(rates.pause)) this.#pause(running);
    if (random.chance(rates.jump)) running.process.clock.jump(random.below(7_200_000) - 3_600_000);
    if (random.chance(rates.copy)) this.#copy(directory);
    // A durable store goes back when people restore it.
    const canGoBack = !this.#world.isDurable || this.#world.options.faults?.rollBack !== undefined;
    if (random.chance(rates.another)) this.#putAnother();
    if (this.#another === undefined && canGoBack && random.chance(rates.rollBack * 2)) this.#rollBack();
    if (random.chance(rates.kill)) this.#end(directory, 'kill');
    else if (random.chance(rates.crash))
      this.#end(directory, this.#world.options.durability === 'interval' ? 'kill' : 'crash');
    else if (random.chance(rates.loseDisk)) this.#loseDisk(directory);
    else if (random.chance(rates.stop) && this.#world.available().some((one) => one.running === running)) {
      this.#world.count('stops');
      void this.#world.stop(directory);
    }
  }

  #end(directory: Directory, how: 'kill' | 'crash'): void {
    this.#world.count(how === 'kill' ? 'kills' : 'crashes');
    this.#world.end(directory, how);
  }

  #partition(runnings: readonly Running[]): void {
    this.#world.count('partitions');
    const partition = this.#world.random.pick<Partition>(['requests', 'answers', 'both', 'both']);
    for (const { link } of runnings) link.partition = partition;
    this.#world.host.clock.schedule(this.#longTime(), () => {
      for (const { link } of runnings) link.partition = 'none';
    });
  }

  #pause({ process }: Running): void {
    this.#world.count('pauses');
    process.pause();
    this.#world.host.clock.schedule(this.#longTime(), () => process.resume());
  }

  /** Half of the time longer than a lease. */
  #longTime(): number {
    return this.#world.random.fraction() * (this.#world.random.chance(0.5) ? LEASE_MS / 2 : LEASE_MS * 4);
  }

  /** Of the directory, as it is while its process runs, or stands still. */
  #copy(directory: Directory): void {
    const running = directory.running as Running;
    if (running.node === undefined || this.#world.directories.length >= DIRECTORIES_MAX) return;
    if (this.#another !== undefined) return;
    this.#world.count('copies');
    const copy = this.#world.addDirectory(directory.disk.copy(), directory.floor.copy());
    if (this.#world.random.chance(0.5)) this.#pause(running);
    this.#world.open(copy);
  }

  /** What only it held is lost. */
  #loseDisk(directory: Directory): void {
    this.#world.count('lostDisks');
    this.#world.end(directory, 'kill');
    if (this.#world.options.ack !== 'store') this.#forgetUnconfirmed(directory);
    directory.disk = this.#world.newDisk();
    directory.floor = new Tally();
  }

  /** Of what the directory acknowledged, only what the store has is still promised. */
  #forgetUnconfirmed({ floor }: Directory): void {
    for (const name of this.#world.names) {
      const [state] = this.#world.store.read([name]);
      const stored = digitsOf(state === undefined ? 0n : total(state.slots, state.cut)).map(Number);
      const acknowledged = this.#world.accounts.acknowledged.of(name);
      for (const [c, count] of floor.of(name).entries()) {
        const before = acknowledged[c] as number;
        acknowledged[c] = Math.max(before - count, Math.min(before, stored[c] as number));
      }
    }
  }

  /** A failover to a replica that was a little behind. */
  #rollBack(): void {
    if (this.#image === undefined || this.#world.random.chance(0.5)) {
      this.#image = this.#world.store.image();
      return;
    }
    this.#world.count('rollBacks');
    if (!this.#world.isDurable && this.#world.random.chance(0.2) && !this.#isStarting) this.#world.store.wipe();
    else this.#image();
  }

  /** A directory that meets a store for the first time has no way to know which one it is. */
  get #isStarting(): boolean {
    return this.#world.directories.some(({ running }) => running !== undefined && !running.node);
  }

  /** At the same address: nothing may get there. */
  #putAnother(): void {
    if (this.#another !== undefined || this.#isStarting) return;
    this.#world.count('strangers');
    const another = new MemoryStore({ id: 'another', durable: this.#world.isDurable });
    this.#another = another;
    this.#world.store.swap(another);
    this.#world.host.clock.schedule(this.#longTime(), () => this.#takeBack(another));
  }

  #takeBack(another: MemoryStore): void {
    if (this.#another !== another) return;
    this.#another = undefined;
    this.#world.store.swap(another);
    if (another.names().length + another.leases().length > 0) this.#world.complain('something went to another store');
  }

  /** From now on nothing goes wrong. */
  end(): void {
    if (this.#another !== undefined) this.#takeBack(this.#another);
    for (const { running } of this.#world.directories) {
      if (running === undefined) continue;
      running.process.resume();
      running.link.partition = 'none';
      running.link.weather = CALM;
    }
  }
}
