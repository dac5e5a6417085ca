/**
 * Writes a snapshot beside running traffic: under a temporary name, part by part, each when the event loop has time for
 * it. Its values may reflect any group up to its end, so it gets its name only when the journal is durable through that
 * end: otherwise an update could survive without its idempotency record.
 */

import type { DiskFile, Random } from '../host/host.ts';
import { within } from './deadline.ts';
import { putSnapshotEnd } from './entries/snapshot-end.ts';
import { JournalFailure } from './errors.ts';
import { ID_BYTES, snapshotName, TEMPORARY_SUFFIX } from './format.ts';
import { GroupBuffer } from './group.ts';
import { encodeSnapshotHeader } from './header.ts';
import type { SegmentSite } from './segment.ts';

/** The target size of a part, about a millisecond of work for the event loop. */
export const SNAPSHOT_PART_BYTES = 256 * 1024;
/** Synced after this many bytes: one large sync at the end would delay the journal's syncs. */
const SYNC_EVERY_BYTES = 8 * 1024 * 1024;

/** Gives the table's records, in stable order. */
export interface SnapshotSource {
  /**
   * Puts the next records into `part`, about `SNAPSHOT_PART_BYTES` of them: values, deadlines, idempotency records and
   * the creation times of forgotten ones, as they are now. If the next one is too far away, it puts none.
   * @returns false if nothing is left after those put.
   */
  next(part: GroupBuffer): boolean;
}

export interface SnapshotRequest {
  readonly source: SnapshotSource;
  /** The last group that the table held whole, and the journal durably, before the source was first asked. */
  readonly beginSequence: bigint;
  /** The newest group that updates have gone into, the gathering one included. */
  readonly currentSequence: () => bigint;
  /** Resolves when the journal is durable through the group; rejects if that will not happen. */
  readonly durableThrough: (sequence: bigint) => Promise<void>;
  /** The journal is closed: give up. */
  readonly isCancelled: () => boolean;
}

/** @returns the file's name and length, once it is durably installed. */
export async function writeSnapshot(
  site: SegmentSite,
  random: Random,
  request: SnapshotRequest,
): Promise<{ file: string; bytes: number }> {
  const name = snapshotName(request.beginSequence);
  // A name of its own: a hanging attempt may still rename its file while the next one is running.
  const id = random.bytes(ID_BYTES);
  const temporary = `${name}.${Buffer.from(id.subarray(0, 4)).toString('hex')}${TEMPORARY_SUFFIX}`;
  const { clock, writeDeadlineMs } = site;
  const opening = site.disk.open(temporary, 'create');
  const file = await within(clock, writeDeadlineMs, `opening ${temporary}`, opening, (late) => void closeQuietly(late));
  try {
    const writer = new PartWriter(site, file, temporary, id);
    await writer.begin(request.beginSequence);
    await writer.parts(request);
    await request.durableThrough(writer.endSequence);
    if (request.isCancelled()) throw cancelled();
    await within(clock, writeDeadlineMs, `installing ${name}`, install(site, temporary, name));
    return { file: name, bytes: writer.offset };
  } catch (error) {
    // The original error matters more than whether this succeeds; the next attempt or start removes what is left.
    void Promise.allSettled([site.disk.unlink(temporary)]);
    throw error;
  } finally {
    void closeQuietly(file);
  }
}

function cancelled(): JournalFailure {
  return new JournalFailure('the journal was closed while a snapshot was being written');
}

/** In the background: nothing depends on the result of closing. */
async function closeQuietly(file: DiskFile): Promise<void> {
  await Promise.allSettled([file.close()]);
}

async function install(site: SegmentSite, temporary: string, name: string): Promise<void> {
  await site.disk.rename(temporary, name);
  await site.disk.syncDirectory();
}

class PartWriter {
  readonly #site: SegmentSite;
  readonly #file: DiskFile;
  readonly #name: string;
  readonly #id: Uint8Array;
  readonly #part = new GroupBuffer();
  #parts = 0n;
  #entries = 0;
  #synced = 0;
  offset = 0;
  endSequence = 0n;

  constructor(site: SegmentSite, file: DiskFile, name: string, id: Uint8Array) {
    this.#site = site;
    this.#file = file;
    this.#name = name;
    this.#id = id;
  }

  async begin(beginSequence: bigint): Promise<void> {
    const createdMs = this.#site.clock.nowMs();
    await this.#write(encodeSnapshotHeader({ id: this.#id, createdMs, beginSequence }));
  }

  /** Writes and syncs everything that the source has, and the end. */
  async parts(request: SnapshotRequest): Promise<void> {
    for (let hasMore = true; hasMore; ) {
      if (request.isCancelled()) throw cancelled();
      this.#beginPart();
      hasMore = request.source.next(this.#part);
      if (this.#part.entries > 0) await this.#writePart();
      else if (hasMore) await new Promise<void>((resolve) => this.#site.clock.soon(resolve));
    }
    this.endSequence = request.currentSequence();
    this.#beginPart();
    putSnapshotEnd(this.#part, { sequence: this.endSequence, entries: this.#entries });
    await this.#writePart();
    await this.#sync();
  }

  #beginPart(): void {
    this.#part.begin();
    this.#part.stamp(this.#parts + 1n, this.#site.clock.nowMs());
  }

  async #writePart(): Promise<void> {
    this.#parts++;
    this.#entries += this.#part.entries;
    for (const bytes of this.#part.seal(this.#id, this.offset, 0)) await this.#write(bytes);
    if (this.offset - this.#synced >= SYNC_EVERY_BYTES) await this.#sync();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { clock, writeDeadlineMs } = this.#site;
    await within(clock, writeDeadlineMs, `writing ${this.#name}`, this.#file.write(bytes, this.offset));
    this.offset += bytes.length;
  }

  async #sync(): Promise<void> {
    const { clock, writeDeadlineMs } = this.#site;
    await within(clock, writeDeadlineMs, `syncing ${this.#name}`, this.#file.sync());
    this.#synced = this.offset;
  }
}
