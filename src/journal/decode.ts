/**
 * The entries of a whole frame, fed to a `Replay`. The checksum proves that these bytes are the written ones. If they
 * are still wrong, they were written wrong or by a newer version, and the start is refused.
 */
import { assert } from '../std/assert.ts';
import { BLOCKS } from './entries/blocks.ts';
import { DEADLINE } from './entries/deadline.ts';
import { DELETE } from './entries/delete.ts';
import type { EntryType } from './entries/entry.ts';
import { FORGOTTEN } from './entries/forgotten.ts';
import { HORIZON } from './entries/horizon.ts';
import { IDEMPOTENCY } from './entries/idempotency.ts';
import { IMPORT_ID } from './entries/import-id.ts';
import { INDEX_LEAF } from './entries/index-leaf.ts';
import { SNAPSHOT_END, type SnapshotEnd, type SnapshotEndReplay } from './entries/snapshot-end.ts';
import { TABLE } from './entries/table.ts';
import { VALUE, ValueRun } from './entries/value.ts';
import { DamageError, UnsupportedFormatError } from './errors.ts';
import { ENTRY_LENGTH_MASK, ENTRY_MUST_UNDERSTAND, ENTRY_TYPE_MASK, ENTRY_TYPE_SHIFT, Frame } from './format.ts';
import type { FrameReader } from './frame.ts';
import type { GroupBuffer } from './group.ts';
import type { RecordReplay, Replay } from './replay.ts';

const MALFORMED = 'an entry is malformed';
const UNKNOWN = 'it names a record of a kind that is not known here';

/** All types of entries, by their numbers. */
const ENTRY_TYPES: ReadonlyMap<number, EntryType<Replay>> = byNumber([
  VALUE,
  DEADLINE,
  DELETE,
  IDEMPOTENCY,
  HORIZON,
  TABLE,
  INDEX_LEAF,
  BLOCKS,
  IMPORT_ID,
  FORGOTTEN,
]);

function byNumber(types: readonly EntryType<Replay>[]): Map<number, EntryType<Replay>> {
  const map = new Map(types.map((type) => [type.number, type]));
  assert(map.size === types.length && !map.has(SNAPSHOT_END.number), 'each type of entry has a number of its own');
  return map;
}

/** Where the frame lies, for errors. */
export interface FramePlace {
  readonly file: string;
  readonly offset: number;
}

/**
 * Feeds the entries of the whole frame that `reader` has found.
 * @returns the end of the snapshot, if the frame states it.
 * @throws DamageError, UnsupportedFormatError
 */
export function replayFrame(reader: FrameReader, place: FramePlace, replay: Replay): SnapshotEnd | undefined {
  const { window } = reader;
  const { words } = window;
  const end = reader.start + reader.length;
  let at = reader.start + Frame.payload;
  let count = 0;
  let snapshotEnd: SnapshotEnd | undefined;
  const ends: SnapshotEndReplay = {
    snapshotEnd(found) {
      snapshotEnd = found;
    },
  };
  const values = new ValueRun(window, reader.entries);
  while (at < end) {
    const header = words[at >> 2];
    const length = header & ENTRY_LENGTH_MASK;
    const type = (header >>> ENTRY_TYPE_SHIFT) & ENTRY_TYPE_MASK;
    const next = at + 4 + ((length + 3) & ~3);
    const offset = place.offset + at - reader.start;
    if (next > end || !values.take(window, type, at + 4, length, replay)) {
      values.feed(replay);
      if (next > end) throw new DamageError(place.file, offset, MALFORMED);
      const isEnd = type === SNAPSHOT_END.number && SNAPSHOT_END.replay(window, at + 4, length, ends);
      if (!isEnd) replayOther(reader, { ...place, offset }, at, replay);
    }
    at = next;
    count++;
  }
  values.feed(replay);
  if (count !== reader.entries) throw new DamageError(place.file, place.offset, 'the number of its entries is wrong');
  return snapshotEnd;
}

/** Feeds the record entries of a group that was written here, or of a piece of it; other entries are skipped. */
export function replayRecords(group: GroupBuffer, replay: RecordReplay, piece?: number): void {
  let values: ValueRun | undefined;
  group.forEach((memory, type, at, length) => {
    values ??= new ValueRun(memory, group.entries);
    if (values.take(memory, type, at, length, replay)) return;
    values.feed(replay);
    if (type === DEADLINE.number) DEADLINE.replay(memory, at, length, replay);
    else if (type === DELETE.number) DELETE.replay(memory, at, length, replay);
  }, piece);
  values?.feed(replay);
}

/** Feeds an entry that is neither a value nor the end of a snapshot. @param place of the entry */
function replayOther(reader: FrameReader, { file, offset }: FramePlace, at: number, replay: Replay): void {
  const { window } = reader;
  const header = window.words[at >> 2];
  const length = header & ENTRY_LENGTH_MASK;
  const number = (header >>> ENTRY_TYPE_SHIFT) & ENTRY_TYPE_MASK;
  const type = ENTRY_TYPES.get(number);
  if (type?.replay(window, at + 4, length, replay) === true) return;
  if (type?.hasUnknownKind?.(window.words, at + 4, length) === true) {
    throw new UnsupportedFormatError(file, offset, UNKNOWN);
  }
  if (type !== undefined || number === SNAPSHOT_END.number) throw new DamageError(file, offset, MALFORMED);
  if ((header & ENTRY_MUST_UNDERSTAND) !== 0) {
    throw new UnsupportedFormatError(file, offset, `entries of type ${number} are not known here`);
  }
}
