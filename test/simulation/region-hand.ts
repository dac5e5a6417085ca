/**
 * A region driven by hand: nodes with lines that can be cut, one store, and a clock that goes on when it is told to.
 */
import { directLine, type Line, MemoryStore } from '../../src/store/memory/memory-store.ts';
import { StoreError } from '../../src/store/slot-store.ts';
import { SimulatedDisk } from './disk.ts';
import { simulatedHost } from './host.ts';
import { type CallOutcome, LEASE_MS, type NodeOptions, RegionNode } from './region-node.ts';

export const AFTER_A_CRASH_MS = 6 * LEASE_MS;
export const SOON_MS = 300;

interface HandNode {
  readonly node: RegionNode;
  /** Its line to the store. */
  readonly cut: () => void;
  readonly mend: () => void;
}

export class HandRegion {
  readonly host = simulatedHost(1);
  readonly store: MemoryStore;

  constructor(durable = true) {
    this.store = new MemoryStore({ id: 'store', durable });
  }

  disk(seed = 1): SimulatedDisk {
    return new SimulatedDisk({ seed, clock: this.host.clock, latencyMs: 1 });
  }

  async inTime<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const settled = work.finally(() => {
      isDone = true;
    });
    settled.catch(() => undefined);
    for (let i = 0; !isDone && i < 20_000; i++) await this.host.clock.advance(1);
    return settled;
  }

  /** A node whose line to the store ends when it is cut. */
  async open(disk: SimulatedDisk, options: Partial<NodeOptions> = {}): Promise<HandNode> {
    let isCut = false;
    const line: Line = async (call) => {
      if (isCut) throw new StoreError('cut off');
      return directLine(call);
    };
    const node = await this.inTime(RegionNode.open({ disk, host: this.host, store: this.store, line, ...options }));
    return {
      node,
      cut: () => {
        isCut = true;
      },
      mend: () => {
        isCut = false;
      },
    };
  }

  async passes(ms: number): Promise<void> {
    await this.host.clock.advance(ms);
  }
}

export const value = (outcome: CallOutcome): unknown => (outcome.kind === 'done' ? outcome.value : outcome.code);
