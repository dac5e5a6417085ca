/** Short ways to write to a journal on a simulated disk and to read it again. */
import { parseFileName } from '../../src/journal/format.ts';
import { GroupBuffer } from '../../src/journal/group.ts';
import { Journal, type JournalOptions } from '../../src/journal/journal.ts';
import type { SnapshotSource } from '../../src/journal/snapshot.ts';
import type { SimulatedDisk } from './disk.ts';
import { simulatedHost } from './host.ts';
import { type ModelEntry, put, Recorder } from './journal-model.ts';

/** A table without records. */
export const EMPTY: SnapshotSource = { next: () => false };
/** For a snapshot of a journal that is durable already. */
export const durableAlready = async () => undefined;

/** The segments and snapshots on the disk, finished or not, by name. */
export async function journalFiles(disk: SimulatedDisk): Promise<string[]> {
  return (await disk.list()).filter((name) => parseFileName(name) !== undefined).sort();
}

/** A group with one value per name. */
export function group(sequence: bigint, ...names: string[]): GroupBuffer {
  const buffer = new GroupBuffer();
  buffer.begin();
  buffer.stamp(sequence, 1_700_000_000_000);
  for (const name of names) put(buffer, value(name));
  return buffer;
}

export function value(name: string): ModelEntry {
  return { entry: 'value', key: { kind: 0, bytes: name }, low: 1, high: 0, at: 3 };
}

export function open(disk: SimulatedDisk, more: Partial<JournalOptions> = {}): Promise<Journal> {
  return Journal.open({ disk, host: simulatedHost(1), replay: new Recorder(), ...more });
}

/** Opens the journal and closes it again. @returns what it recovered. */
export async function recovered(disk: SimulatedDisk): Promise<Recorder> {
  const replay = new Recorder();
  await (await open(disk, { replay })).close();
  return replay;
}

/** Writes groups and makes them durable. */
export async function commit(journal: Journal, ...groups: GroupBuffer[]): Promise<void> {
  await journal.write(groups);
  await journal.sync();
}
