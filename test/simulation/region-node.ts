/**
 * One node of a simulated region: the real engine and exchange on a simulated disk, with a line to the store that can
 * be cut.
 */
import { Chunk, Flag, Op } from '../../src/counter/chunk.ts';
import { DONE, ERRORS, errorCode } from '../../src/counter/errors.ts';
import { type Policy, PolicyTable } from '../../src/counter/policy.ts';
import type { Durability } from '../../src/counter/service.ts';
import { Engine } from '../../src/engine/engine.ts';
import { Exchange } from '../../src/exchange/exchange.ts';
import { Identity } from '../../src/exchange/identity.ts';
import type { Disk, Host } from '../../src/host/host.ts';
import type { Line, MemoryStore } from '../../src/store/memory/memory-store.ts';
import type { SlotStore } from '../../src/store/slot-store.ts';
import { CALL_MS } from './network.ts';

/** What became of a call: done with a value, refused by a code, or unknown. */
export type CallOutcome =
  | {
      readonly kind: 'done';
      readonly value: bigint;
      readonly existed: boolean;
      readonly isPartial: boolean;
      /** For later calls, which then see what this one has changed. */
      readonly session: string;
    }
  | { readonly kind: 'refused' | 'unknown'; readonly code: string };

export interface NodeOptions {
  readonly disk: Disk;
  readonly host: Host;
  readonly store: MemoryStore;
  readonly line: Line;
  readonly durability?: Durability;
  readonly ack?: 'journal' | 'store';
  readonly memoryBytes?: number;
  readonly policies?: readonly Policy[];
  readonly onFatal?: (error: unknown) => void;
  readonly keepFoldedMs?: number;
  readonly onDamaged?: (what: string) => void;
  readonly onUnwritten?: (error: unknown) => void;
  readonly onWentBack?: () => void;
  readonly onFailure?: (error: unknown) => void;
  /** Puts something between the node and the store. */
  readonly between?: (store: SlotStore, engine: Engine) => SlotStore;
  /** Called when the directory is known and nothing has been done with it. */
  readonly opened?: (identity: Identity) => Promise<void>;
}

export const LEASE_MS = 600;
const CLOSE_MS = 3_000;

export class RegionNode {
  readonly engine: Engine;
  readonly exchange: Exchange;

  readonly identity: Identity;

  private constructor(engine: Engine, exchange: Exchange, identity: Identity) {
    this.engine = engine;
    this.exchange = exchange;
    this.identity = identity;
  }

  static async open(options: NodeOptions): Promise<RegionNode> {
    const { disk, host, store, line, durability = 'always', ack = 'journal', memoryBytes } = options;
    const identity = await Identity.open(disk, host.random);
    await options.opened?.(identity);
    const engine = await Engine.open({
      disk,
      host,
      durability,
      segmentBytesMax: 50_000,
      snapshotJournalBytes: 100_000,
    });
    const exchange = await Exchange.open({
      engine,
      store: options.between?.(store.connect(line), engine) ?? store.connect(line),
      host,
      identity,
      policies: new PolicyTable(options.policies ?? []),
      ack,
      memoryBytes,
      flushMs: 20,
      pollMs: 20,
      leaseMs: LEASE_MS,
      callMs: CALL_MS,
      attachMs: 2_000,
      onFailure: options.onFailure ?? (() => undefined),
      onRepaired: () => undefined,
      onUnwritten: options.onUnwritten ?? (() => undefined),
      retireAfterMs: 3_600_000,
      keepFoldedMs: options.keepFoldedMs ?? 3_600_000,
      onRetired: () => undefined,
      onDamaged: options.onDamaged ?? (() => undefined),
      onWentBack: options.onWentBack ?? (() => undefined),
      onFatal:
        options.onFatal ??
        ((error) => {
          throw error;
        }),
    });
    return new RegionNode(engine, exchange, identity);
  }

  add(name: string, amount: bigint): Promise<CallOutcome> {
    return this.call((chunk) => chunk.pushName(Op.add, name, amount));
  }

  get(name: string, consistency: 'local' | 'region' = 'local'): Promise<CallOutcome> {
    return this.call((chunk) => {
      chunk.pushName(Op.get, name);
      chunk.consistency = consistency;
    });
  }

  set(name: string, value: bigint): Promise<CallOutcome> {
    return this.call((chunk) => chunk.pushName(Op.set, name, value));
  }

  delete(name: string): Promise<CallOutcome> {
    return this.call((chunk) => chunk.pushName(Op.delete, name));
  }

  call(fill: (chunk: Chunk) => void): Promise<CallOutcome> {
    const chunk = new Chunk();
    fill(chunk);
    return new Promise((resolve) => {
      chunk.complete = () => resolve(outcomeOf(chunk));
      this.exchange.submit(chunk);
    });
  }

  async close(): Promise<void> {
    await this.exchange.close(CLOSE_MS);
    await this.engine.close();
  }
}

function outcomeOf(chunk: Chunk): CallOutcome {
  const id = chunk.refusal === DONE ? (chunk.code[0] as number) : chunk.refusal;
  if (id !== DONE) {
    const code = errorCode(id);
    return { kind: ERRORS[code].outcome, code };
  }
  return {
    kind: 'done',
    value: chunk.valueAt(0),
    existed: chunk.hasFlag(0, Flag.existed),
    isPartial: chunk.hasFlag(0, Flag.partial),
    session: chunk.sessionToken,
  };
}
