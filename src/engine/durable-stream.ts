/**
 * What has become durable, group by group: the only thing that those read who pass counts on (to stores, watchers,
 * rankings), so that nothing leaves this replica that a crash could take back. States are absolute, and after a failed
 * sync they come again: what comes twice says the same.
 */
import { replayRecords } from '../journal/decode.ts';
import type { GroupBuffer } from '../journal/group.ts';
import type { RecordReplay } from '../journal/replay.ts';

/** Gets every group once, in order, after its sync. Nothing of what it is handed may be kept after its return. */
export interface DurableReader extends RecordReplay {
  /** What follows was made durable by this group. */
  group(sequence: bigint, timeMs: number): void;
}

export class DurableStream {
  readonly #readers = new Set<DurableReader>();
  readonly #failed: (fault: unknown) => void;

  /** @param failed a reader threw: it has left the stream, which goes on for the others. */
  constructor(failed: (fault: unknown) => void) {
    this.#failed = failed;
  }

  get isRead(): boolean {
    return this.#readers.size > 0;
  }

  /** Adds a reader: it gets every group that is sealed from now on. @returns leaves the stream, at once */
  read(reader: DurableReader): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** @param piece of a group that is fed piece by piece, in order; by default all of it */
  feed(group: GroupBuffer, piece?: number): void {
    for (const reader of this.#readers) {
      try {
        if (piece === undefined || piece === 0) reader.group(group.sequence, group.timeMs);
        replayRecords(group, reader, piece);
      } catch (fault) {
        this.#readers.delete(reader);
        this.#failed(fault);
      }
    }
  }
}
