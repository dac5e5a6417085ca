/**
 * Reads snapshots. A snapshot was durable before it got its name, so every byte of it must be whole, up to the
 * frame that ends it.
 */
import type { Disk } from '../host/host.ts';
import { replayFrame } from './decode.ts';
import type { SnapshotEnd } from './entries/snapshot-end.ts';
import { DamageError } from './errors.ts';
import { FILE_HEADER_BYTES, type FileName, SECTOR_BYTES } from './format.ts';
import { FrameReader, type Window } from './frame.ts';
import { readSnapshotHeader } from './header.ts';
import type { Replay } from './replay.ts';

export interface LoadedSnapshot {
  readonly name: string;
  /** The last group that it covers whole. */
  readonly beginSequence: bigint;
  /** The last group that may be reflected in it. */
  readonly endSequence: bigint;
  readonly frames: number;
  readonly entries: number;
  readonly bytes: number;
}

/** For a first pass that only checks. */
export const NOTHING: Replay = {
  group: ignore,
  beginSnapshot: ignore,
  endSnapshot: ignore,
  values: ignore,
  table: ignore,
  indexLeaf: ignore,
  blocks: () => true,
  deadline: ignore,
  delete: ignore,
  idempotency: ignore,
  importId: ignore,
  forgotten: ignore,
  horizon: ignore,
};

function ignore(): void {
  // The frames are only checked.
}

/**
 * Feeds the newest snapshot to `replay`; when that one is damaged, the next older one that `requireSegments` accepts.
 * @param requireSegments throws when the segments behind a snapshot's begin are not all there.
 * @returns undefined when there is no snapshot.
 * @throws DamageError of the newest snapshot, if none can be used; UnsupportedFormatError
 */
export async function chooseSnapshot(
  disk: Disk,
  names: readonly FileName[],
  window: Window,
  replay: Replay,
  requireSegments: (begin: bigint) => Promise<void>,
): Promise<LoadedSnapshot | undefined> {
  const snapshots = names.filter((name) => name.kind === 'snapshot').sort((a, b) => (a.sequence < b.sequence ? 1 : -1));
  let damage: DamageError | undefined;
  for (const [i, { name, sequence }] of snapshots.entries()) {
    try {
      if (damage !== undefined) await requireSegments(sequence);
      // If an older snapshot could replace it, nothing is fed before the whole file has been verified.
      if (i + 1 < snapshots.length) await loadSnapshot(disk, name, sequence, window, NOTHING);
      return await loadSnapshot(disk, name, sequence, window, replay);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      damage ??= error;
    }
  }
  if (damage !== undefined) throw damage;
  return undefined;
}

/** @throws DamageError, UnsupportedFormatError */
export async function loadSnapshot(
  disk: Disk,
  name: string,
  sequence: bigint,
  window: Window,
  replay: Replay,
): Promise<LoadedSnapshot> {
  const file = await disk.open(name, 'read');
  try {
    const { id, beginSequence } = await readSnapshotHeader(file, name, sequence);
    const size = await file.size();
    const reader = new FrameReader(file, id, size, window);
    replay.beginSnapshot(await entriesOf(reader, name, size));
    let offset = FILE_HEADER_BYTES;
    let frames = 0;
    let entries = 0;
    let end: SnapshotEnd | undefined;
    while (end === undefined) {
      if (!reader.holds(offset)) await reader.load(offset);
      if (!reader.check(offset)) throw new DamageError(name, offset, reader.reason);
      frames++;
      if (reader.sequence !== BigInt(frames)) {
        throw new DamageError(name, offset, `part ${reader.sequence} stands where ${frames} belongs`);
      }
      replay.group(beginSequence, reader.timeMs);
      end = replayFrame(reader, { file: name, offset }, replay);
      entries += reader.entries;
      offset += reader.paddedLength;
    }
    if (end.entries !== entries - 1) throw new DamageError(name, offset, 'the number of its entries is wrong');
    if (end.sequence < beginSequence) throw new DamageError(name, offset, 'it ends before it begins');
    if (offset < size) throw new DamageError(name, offset, 'it goes on behind its end');
    replay.endSnapshot();
    return { name, beginSequence, endSequence: end.sequence, frames, entries, bytes: size };
  } finally {
    await file.close();
  }
}

/** The number of entries stated in the last frame, before any other is read; 0 if it cannot be read. */
async function entriesOf(reader: FrameReader, file: string, size: number): Promise<number> {
  const offset = size - SECTOR_BYTES;
  if (offset < FILE_HEADER_BYTES || offset % SECTOR_BYTES !== 0) return 0;
  await reader.load(offset);
  return reader.check(offset) ? (replayFrame(reader, { file, offset }, NOTHING)?.entries ?? 0) : 0;
}
