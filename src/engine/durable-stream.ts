/**
 * Everything that has become durable, group by group. Readers that pass counts on (to stores, watchers, rankings) read
 * only this, so that nothing leaves this replica that a crash could take back. States are absolute and are repeated
 * after a failed sync, so a repeated state changes nothing.
 */
import { replayRecords } from '../journal/decode.ts';
import type { GroupBuffer } from '../journal/group.ts';
import type { RecordReplay } from '../journal/replay.ts';
import { Readers } from '../std/readers.ts';

/** Receives every group once, in order, after its sync. Arguments must not be kept after the call returns. */
export interface DurableReader extends RecordReplay {
  /** The following states were made durable by this group. */
  group(sequence: bigint, timeMs: number): void;
}

export class DurableStream {
  readonly #readers: Readers<DurableReader>;

  /** @param failed a reader threw: it has left the stream, which continues for the others. */
  constructor(failed: (fault: unknown) => void) {
    this.#readers = new Readers(failed);
  }

  get isRead(): boolean {
    return !this.#readers.isEmpty;
  }

  /** Adds a reader: it gets every group that is sealed from now on. @returns leaves the stream, at once */
  read(reader: DurableReader): () => void {
    return this.#readers.add(reader);
  }

  /** @param piece of a group that is fed piece by piece, in order; default: all of it */
  feed(group: GroupBuffer, piece?: number): void {
    this.#readers.each((reader) => {
      if (piece === undefined || piece === 0) reader.group(group.sequence, group.timeMs);
      replayRecords(group, reader, piece);
    });
  }
}
