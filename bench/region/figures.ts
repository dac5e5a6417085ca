/** What every figure needs, and what a figure is. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RegionNode } from '../../test/chaos/region-node.ts';
import { stopServers } from '../../test/wire/server-process.ts';
import type { OpenStore, StoreKind } from './stores.ts';

export interface Bench {
  readonly isQuick: boolean;
  readonly progress: (line: string) => void;
}

/** One line of a figure's table: columns by name. */
export type Line = Readonly<Record<string, string | number>>;

export interface Figure {
  readonly name: string;
  readonly title: string;
  /** What is measured, from when to when, and what the numbers do not say. */
  readonly about: string;
  readonly measure: (bench: Bench) => Promise<Line[]>;
}

export type Opener<Store extends OpenStore> = (root: string) => Promise<Store>;

/** Runs on a fresh store with so many fresh nodes; takes everything down afterwards. */
export async function withRegion<Store extends OpenStore, Result>(
  open: Opener<Store>,
  count: number,
  use: (nodes: RegionNode[], store: Store) => Promise<Result>,
  flags: readonly string[] = [],
): Promise<Result> {
  // Its own directory: PostgreSQL runs as another user.
  const [storeRoot, root] = ['store', 'nodes'].map((part) => mkdtempSync(join(tmpdir(), `tallyd-bench-${part}-`))) as [
    string,
    string,
  ];
  const store = await open(storeRoot);
  try {
    const names = Array.from({ length: count }, (_, i) => `node-${i}`);
    const nodes = await RegionNode.startAll(root, names, { store: store.url, flags });
    return await use(nodes, store);
  } finally {
    store.resume();
    await stopServers();
    await store.close();
    for (const directory of [storeRoot, root]) rmSync(directory, { recursive: true, force: true });
  }
}

/** Slots that the nodes have yet to bring to the store. */
export async function backlogOf(nodes: readonly RegionNode[]): Promise<number> {
  const states = await Promise.all(nodes.map((node) => node.storeState()));
  return states.reduce((sum, { backlog }) => sum + backlog, 0);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function inShort(kind: StoreKind, line: Line): string {
  const columns = Object.entries(line).map(([name, value]) => `${name} ${value}`);
  return `${kind}: ${columns.join(', ')}`;
}
