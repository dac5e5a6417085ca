/**
 * `replica.json`: who a data directory is towards slot stores. Made with the directory, whether it ever meets a store or not.
 *
 * Invariants:
 * - An incarnation is in the file, durably, before anything is counted under its ordinal; ordinals are never given twice.
 * - `through` of an incarnation that has ended is the last group that it may have made durable: its slots have that version
 *   for good, whoever publishes them.
 * - The file is replaced by rename and synced, so it is never torn.
 */
import type { Disk, Random } from '../host/host.ts';
import type { ReplicaId } from '../store/slot-store.ts';

const FILE = 'replica.json';
const TEMPORARY = 'replica.json.new';
const FORMAT = 1;
const ID_BYTES = 16;

/** The incarnation that counted before the directory met a store: its records are counters, its id is the directory's. */
export const ALONE = 0;

export interface Incarnation {
  /** The suffix of its records; `ALONE` for what was counted without a store. */
  readonly ordinal: number;
  readonly id: ReplicaId;
  /** Decimal digits; undefined while it runs. */
  readonly through?: string | undefined;
  /** When its slots were folded, Unix ms, and under which term of the store: they stay for a time, should the store go back behind it. */
  readonly foldedAt?: number | undefined;
  readonly foldedTerm?: string | undefined;
  /** Another process counted under its id, too: what each of them has is not known to the other, and is not published any more. */
  readonly isForked?: boolean | undefined;
}

export interface Attachment {
  /** The store's id. */
  readonly store: string;
  /** It keeps what it has confirmed: what was counted here may be nowhere else. */
  readonly isDurable?: boolean | undefined;
  /** Tells this directory from its copies while its import is being registered. */
  readonly nonce: string;
  readonly isRegistered: boolean;
  /** The patterns of local counters, which lie where those lie that were counted before there was a store. */
  readonly localPatterns: readonly string[];
}

export interface IdentityRecord {
  readonly format: typeof FORMAT;
  /** 128 random bits in hexadecimal, made with the directory. */
  readonly directory: string;
  /** The store that it belongs to, since it first met one. */
  readonly attachment?: Attachment | undefined;
  readonly nextOrdinal: number;
  /** Those that are not folded yet, oldest first; while a replica runs the last one is its own. */
  readonly incarnations: readonly Incarnation[];
  /** Redeems the last incarnation's lease, once. */
  readonly baton?: string | undefined;
  /** The store's term when the baton was left: under another one it may have gone back, and the lease with it. */
  readonly batonTerm?: string | undefined;
  /** Slots have left this directory for the store: what it does not know is not zero. */
  readonly hasEvicted?: boolean | undefined;
}

/** Parts of the record that are to be replaced. */
export type Change = Partial<Omit<IdentityRecord, 'format' | 'directory'>>;

/** The file is there, but is not one that this version can read. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
}

/**
 * The file could not be written. In memory it is what it was, and whoever acts on the change has not begun to; on the disk it may
 * have changed, which harms nothing: the next change replaces it as a whole, and it says what was to be true.
 */
export class IdentityWriteError extends Error {
  override readonly name = 'IdentityWriteError';
  /** The attempt before it was not one that failed. */
  readonly isFirst: boolean;

  constructor(cause: unknown, isFirst: boolean, file = FILE) {
    super(`${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.isFirst = isFirst;
  }
}

export class Identity {
  readonly disk: Disk;
  #record: IdentityRecord;
  #changing: Promise<void> = Promise.resolve();
  #hasFailed = false;

  private constructor(disk: Disk, record: IdentityRecord) {
    this.disk = disk;
    this.#record = record;
  }

  /** Reads the file, or makes it. @throws IdentityError, and the system's errors */
  static async open(disk: Disk, random: Random): Promise<Identity> {
    const text = await readIdentity(disk);
    if (text !== undefined) return new Identity(disk, parse(text));
    const record: IdentityRecord = {
      format: FORMAT,
      directory: newId(random),
      nextOrdinal: ALONE + 1,
      incarnations: [],
    };
    const identity = new Identity(disk, record);
    await identity.#write({});
    return identity;
  }

  /**
   * Writes the file of a copy of a directory, given that of the original. A copy does not go on under the original's id, which may run, or be
   * started again: it has no baton, so its next start counts under a fresh id, and what it has of the earlier ones is published as by an heir.
   * @throws IdentityError, IdentityWriteError
   */
  static async writeCopy(disk: Disk, text: string): Promise<void> {
    await new Identity(disk, parse(text)).change({ baton: undefined });
  }

  get record(): IdentityRecord {
    return this.#record;
  }

  /** The incarnation with this ordinal, unless it is folded. */
  incarnation(ordinal: number): Incarnation | undefined {
    return this.#record.incarnations.find((incarnation) => incarnation.ordinal === ordinal);
  }

  /**
   * Replaces parts of the record, durably; one change after the other, each made from what the one before has left.
   * @param parts or what they are, given the record as it is when its turn has come.
   * @throws IdentityWriteError: nothing has changed here
   */
  change(parts: Change | ((record: IdentityRecord) => Change)): Promise<void> {
    const changed = this.#changing.then(() => this.#change(typeof parts === 'function' ? parts(this.#record) : parts));
    this.#changing = changed.catch(() => {
      // Whoever asked for it is told; it has left the record as it was.
    });
    return changed;
  }

  async #change(parts: Change): Promise<void> {
    try {
      await this.#write(parts);
      this.#hasFailed = false;
    } catch (error) {
      const isFirst = !this.#hasFailed;
      this.#hasFailed = true;
      throw new IdentityWriteError(error, isFirst);
    }
  }

  async #write(parts: Change): Promise<void> {
    const next = { ...this.#record, ...parts };
    const bytes = new TextEncoder().encode(`${JSON.stringify(next, null, 2)}\n`);
    if ((await this.disk.list()).includes(TEMPORARY)) await this.disk.unlink(TEMPORARY);
    const file = await this.disk.open(TEMPORARY, 'create');
    try {
      await file.write(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.disk.rename(TEMPORARY, FILE);
    await this.disk.syncDirectory();
    this.#record = next;
  }
}

/** 128 random bits in hexadecimal. */
export function newId(random: Random): string {
  return Array.from(random.bytes(ID_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The file as it is now; undefined where there is none. @throws the system's errors */
export async function readIdentity(disk: Disk): Promise<string | undefined> {
  if (!(await disk.list()).includes(FILE)) return undefined;
  const file = await disk.open(FILE, 'read');
  try {
    const bytes = new Uint8Array(await file.size());
    await file.read(bytes, 0);
    return new TextDecoder().decode(bytes);
  } finally {
    await file.close();
  }
}

function parse(text: string): IdentityRecord {
  const record = parseJson(text) as Partial<IdentityRecord> | undefined;
  if (record?.format !== undefined && record.format !== FORMAT) {
    throw new IdentityError(
      `${FILE} has format ${String(record.format)}, which is not known here: use a newer version`,
    );
  }
  const isWhole =
    typeof record?.directory === 'string' && Array.isArray(record.incarnations) && Number.isInteger(record.nextOrdinal);
  if (!isWhole)
    throw new IdentityError(
      `${FILE} cannot be read: put the whole data directory back from one backup, or start with an empty one`,
    );
  return record as IdentityRecord;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
