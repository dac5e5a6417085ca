/**
 * Between an engine and its disk: notes through which group the system has everything, so that a process that is killed
 * then must not lose it. What is written under a temporary name counts when the file gets its own.
 */
import type { Disk, DiskFile } from '../../src/host/host.ts';
import { FRAME_MAGIC, Frame, parseFileName, TEMPORARY_SUFFIX } from '../../src/journal/format.ts';

export class WrittenGroups {
  /** The last group of the segment that is being written. */
  sequence = 0n;
  #segment = '';
  readonly #unnamed = new Map<string, bigint>();

  over(disk: Disk): Disk {
    return {
      list: () => disk.list(),
      open: async (name, mode) => this.#file(name, await disk.open(name, mode)),
      rename: async (from, to) => {
        await disk.rename(from, to);
        this.#renamed(from, to);
      },
      unlink: (name) => disk.unlink(name),
      syncDirectory: () => disk.syncDirectory(),
    };
  }

  #file(name: string, file: DiskFile): DiskFile {
    return {
      size: () => file.size(),
      read: (target, position) => file.read(target, position),
      write: async (bytes, position) => {
        const sequence = sequenceOf(bytes);
        await file.write(bytes, position);
        if (sequence === undefined) return;
        if (name.endsWith(TEMPORARY_SUFFIX)) this.#unnamed.set(name, sequence);
        // A write that comes late into a segment that was left says nothing.
        else if (name === this.#segment) this.sequence = sequence;
      },
      sync: () => file.sync(),
      truncate: (size) => file.truncate(size),
      hasName: (of) => file.hasName(of),
      close: () => file.close(),
    };
  }

  #renamed(from: string, to: string): void {
    if (parseFileName(to)?.kind !== 'segment') return;
    this.#segment = to;
    this.sequence = this.#unnamed.get(from) ?? this.sequence;
  }
}

/** Of the group whose frame begins here. */
function sequenceOf(bytes: Uint8Array): bigint | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < Frame.payload || view.getUint32(0, true) !== FRAME_MAGIC) return undefined;
  return view.getBigUint64(Frame.sequence, true);
}
