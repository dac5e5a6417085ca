/** A simulated region, as those see it who act in it: its clients, its faults, and what judges its cuts. */
import type { Disk } from '../../src/host/host.ts';
import type { SeededRandom } from '../../src/std/random.ts';
import type { MemoryStore } from '../../src/store/memory/memory-store.ts';
import type { SimulatedDisk } from './disk.ts';
import type { SimulatedHost } from './host.ts';
import type { Link } from './network.ts';
import type { SimulatedProcess } from './process.ts';
import type { Accounts, Tally } from './region-accounts.ts';
import type { NodeOptions, RegionNode } from './region-node.ts';

/** How likely each of these is, per step. */
export interface FaultRates {
  readonly weather: number;
  readonly partition: number;
  readonly pause: number;
  readonly stop: number;
  readonly kill: number;
  readonly crash: number;
  readonly copy: number;
  readonly loseDisk: number;
  readonly rollBack: number;
  /** Another store comes into the place of this one, for a time. */
  readonly another: number;
  readonly jump: number;
}

export interface RegionWorldOptions {
  readonly seed: number;
  readonly durable?: boolean;
  readonly nodes?: number;
  readonly durability?: NodeOptions['durability'];
  readonly ack?: 'journal' | 'store';
  readonly memoryBytes?: number;
  readonly keepFoldedMs?: number;
  /** Counters that are only added to. */
  readonly names?: number;
  /** What may happen, and how often per step. */
  readonly faults?: Partial<FaultRates>;
  /** The wall clocks of all nodes are one. */
  readonly clocksAgree?: boolean;
  /**
   * A read of the region has all that the store had acknowledged: so it is where every node runs and reaches the store.
   */
  readonly readsAll?: boolean;
  /** For mutations. */
  readonly store?: (options: { id: string; durable: boolean }) => MemoryStore;
  readonly between?: NodeOptions['between'];
  readonly opened?: NodeOptions['opened'];
  readonly diskBetween?: (disk: Disk) => Disk;
}

/** A data directory, and the process on it. */
export interface Directory {
  readonly index: number;
  disk: SimulatedDisk;
  running: Running | undefined;
  /** What was acknowledged by processes on it, and is on its disk. */
  floor: Tally;
}

/** A process that runs, or is about to. */
export interface Running {
  readonly process: SimulatedProcess;
  readonly link: Link;
  node: RegionNode | undefined;
  /** The id that it began under. */
  replica: string | undefined;
  isStopping: boolean;
  /** What was acknowledged by it, and by those before it on the directory; and what its reads have shown. */
  readonly floor: Tally;
  readonly seen: Tally;
  /** What was acknowledged by it alone. */
  readonly own: Tally;
  /** Names that were warm in it. */
  readonly warm: Set<string>;
}

export interface World {
  readonly options: RegionWorldOptions;
  readonly random: SeededRandom;
  readonly host: SimulatedHost;
  readonly store: MemoryStore;
  readonly directories: readonly Directory[];
  readonly accounts: Accounts;
  readonly cuts: { step(world: World, running: Running): void };
  readonly names: readonly string[];
  /** What the run met, so that a test can tell that it tested something. */
  readonly counts: Readonly<Record<string, number>>;
  readonly isDurable: boolean;
  readonly nowMs: number;
  /** Everything that is running and open. */
  readonly nodes: readonly RegionNode[];
  count(what: string): void;
  /** A promise is broken. */
  complain(what: string): void;
  newDisk(): SimulatedDisk;
  addDirectory(disk: SimulatedDisk, floor?: Tally): Directory;
  /** Runs, and takes calls. */
  available(): readonly { readonly directory: Directory; readonly running: Running }[];
  /** The value, as soon as the node can tell it. */
  read(node: RegionNode, name: string): Promise<bigint>;
  /** Starts a process on the directory. */
  open(directory: Directory): void;
  stop(directory: Directory): Promise<void>;
  /** The process is gone, with the power or without. */
  end(directory: Directory, how: 'kill' | 'crash'): void;
}
