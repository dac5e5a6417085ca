/**
 * `journal.reach`: how far the journal was durable, in a file of its own. It lets a start notice that the journal's
 * tail is missing, which otherwise looks like a journal that ended there, and a running process that its directory is
 * gone.
 *
 * Invariants:
 * - It states only what was durable before it was written. So nothing depends on when or whether a write of it reaches
 *   the disk: a lost write only means that a loss of that much would go unnoticed.
 * - Two sectors are written in turn, each only when the previous one is durable: one of them is always whole.
 */
import { DirectoryLost, type DiskFile } from '../host/host.ts';
import { within } from './deadline.ts';
import { DamageError, FileLost, JournalFailure } from './errors.ts';
import { SECTOR_BYTES, TEMPORARY_SUFFIX } from './format.ts';
import { type Continuation, decodeReach, encodeReach, type Reach } from './header.ts';
import type { SegmentSite } from './segment.ts';

export const REACH_FILE = 'journal.reach';
const TEMPORARY = REACH_FILE + TEMPORARY_SUFFIX;
const SECTORS = 2;
/** How often it is written and checked. */
const INTERVAL_MS = 1000;

export interface ReachOptions {
  /** How far the journal is durable. */
  readonly durablePoint: () => Continuation | undefined;
  /** Checks the other files that the next start needs. @throws FileLost, JournalFailure */
  readonly requireFiles: () => Promise<void>;
  /** The directory is gone, or a file of it. */
  readonly onLost: (failure: JournalFailure) => void;
}

/** Keeps the file up to date until closed. */
export class ReachFile {
  readonly #site: SegmentSite;
  readonly #options: ReachOptions;
  #written: Reach;
  #timer: { cancel(): void } | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** @param found what the file says. */
  constructor(site: SegmentSite, found: Reach, options: ReachOptions) {
    this.#site = site;
    this.#written = found;
    this.#options = options;
    this.#schedule();
  }

  /** @throws JournalFailure if the file is missing: the directory was removed, moved or replaced */
  async check(): Promise<void> {
    void Promise.allSettled([(await this.#open()).close()]);
  }

  /** Writes it for the last time, if the disk can. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#writing;
    await this.#write();
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer = this.#site.clock.schedule(INTERVAL_MS, () => {
      this.#writing = this.#write();
    });
  }

  /** Checks this file and the others, and writes it if there is news. */
  async #write(): Promise<void> {
    try {
      const file = await this.#open();
      try {
        await this.#options.requireFiles();
        await this.#writeSector(file);
      } finally {
        void Promise.allSettled([file.close()]);
      }
    } catch (error) {
      if (!(error instanceof JournalFailure)) throw error;
      // Other errors are harmless: the write is retried, and the journal itself reports a failing disk.
      if (error instanceof DirectoryGone || error instanceof FileLost) this.#options.onLost(error);
    }
    this.#schedule();
  }

  async #writeSector(file: DiskFile): Promise<void> {
    const point = this.#options.durablePoint();
    const before = this.#written.point;
    if (point === undefined || (point.number === before?.number && point.offset === before.offset)) return;
    const { clock, writeDeadlineMs } = this.#site;
    const next = { writes: this.#written.writes + 1, point };
    const bytes = encodeReach(next, clock.nowMs());
    const at = (next.writes % SECTORS) * SECTOR_BYTES;
    await within(clock, writeDeadlineMs, `writing ${REACH_FILE}`, file.write(bytes, at));
    await within(clock, writeDeadlineMs, `syncing ${REACH_FILE}`, file.sync());
    this.#written = next;
  }

  async #open(): Promise<DiskFile> {
    const { disk, clock, writeDeadlineMs } = this.#site;
    try {
      const opening = disk.open(REACH_FILE, 'write');
      return await within(clock, writeDeadlineMs, `opening ${REACH_FILE}`, opening, (late) => void late.close());
    } catch (error) {
      const isGone = error instanceof JournalFailure && isMissing(error.cause);
      throw isGone ? new DirectoryGone(error) : error;
    }
  }
}

class DirectoryGone extends JournalFailure {
  constructor(failure: JournalFailure) {
    const isMissingOnly = !(failure.cause instanceof DirectoryLost);
    super(
      isMissingOnly
        ? `${REACH_FILE} is missing: the data directory was removed, moved or replaced under the running process; nothing is counted until it is back`
        : failure.message,
      { cause: failure.cause },
    );
  }
}

/**
 * Creates the file if there is none. @param point how far the journal is durable, if it is known. @throws
 * JournalFailure
 */
export async function makeReach(site: SegmentSite, point?: Continuation): Promise<Reach> {
  const { disk, clock, writeDeadlineMs } = site;
  const step = <T>(work: Promise<T>): Promise<T> => within(clock, writeDeadlineMs, `making ${REACH_FILE}`, work);
  const reach: Reach = { writes: 0, point };
  if ((await step(disk.list())).includes(TEMPORARY)) await step(disk.unlink(TEMPORARY));
  const file = await step(disk.open(TEMPORARY, 'create'));
  try {
    for (let at = 0; at < SECTORS; at++) await step(file.write(encodeReach(reach, clock.nowMs()), at * SECTOR_BYTES));
    await step(file.sync());
  } finally {
    void Promise.allSettled([file.close()]);
  }
  await step(disk.rename(TEMPORARY, REACH_FILE));
  await step(disk.syncDirectory());
  return reach;
}

export interface FoundReach extends Reach {
  /** The damaged sector; the other one may state less than it did. */
  readonly badSector: number | undefined;
}

/**
 * @returns undefined if there is no such file, as in a directory of an earlier version. @throws DamageError, the disk's
 *   errors
 */
export async function readReach(open: (name: string) => Promise<DiskFile>): Promise<FoundReach | undefined> {
  let file: DiskFile;
  try {
    file = await open(REACH_FILE);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
  try {
    const bytes = new Uint8Array(SECTORS * SECTOR_BYTES);
    await file.read(bytes, 0);
    const sectors = [bytes.slice(0, SECTOR_BYTES), bytes.slice(SECTOR_BYTES)].map((one) =>
      decodeReach(REACH_FILE, one),
    );
    const [newest] = sectors.filter((sector) => sector !== undefined).sort((a, b) => b.writes - a.writes);
    const bad = sectors.indexOf(undefined);
    if (newest !== undefined) return { ...newest, badSector: bad < 0 ? undefined : bad };
    throw new DamageError(
      REACH_FILE,
      0,
      'none of its sectors is whole: remove it, and a start looks for no missing tail',
    );
  } finally {
    await file.close();
  }
}

/** That one sector is not whole, in words. */
export function reachNotice(sector: number): string {
  return `${REACH_FILE} is damaged at offset ${sector * SECTOR_BYTES}: of its two sectors only the other one counts, by which a tail that is missing may go unnoticed`;
}

/** Whether the disk says that there is no such file. */
export function isMissing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
