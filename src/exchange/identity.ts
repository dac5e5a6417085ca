/**
 * `replica.json`: who a data directory is towards slot stores. Made with the directory, whether it ever meets a store
 * or not.
 *
 * Invariants:
 * - An incarnation is in the file, durably, before anything is counted under its ordinal; ordinals are never given
 *   twice.
 * - `through` of an incarnation that has ended is the last group that it may have made durable: its slots have that
 *   version for good, whoever publishes them.
 * - The file is replaced as a whole, with a checksum (`small-file.ts`). One of format 1 has none, and is written anew
 *   when it was read.
 */
import type { Disk, Random } from '../host/host.ts';
import { DamageError, UnsupportedFormatError } from '../journal/errors.ts';
import { decodeSmallFile, encodeSmallFile, readSmallFile, replaceSmallFile } from '../journal/small-file.ts';
import { type Check, isFlag, isForm, isListOf, isOf, isText, isWhole, wrongField } from '../std/shape.ts';
import type { ReplicaId } from '../store/slot-store.ts';

export const IDENTITY_FILE = 'replica.json';
/** Format 1 had no checksum. */
const FORMAT = 2;
const FORMAT_UNCHECKED = 1;
const ID_BYTES = 16;

/**
 * The incarnation that counted before the directory met a store: its records are counters, its id is the directory's.
 */
export const ALONE = 0;

export interface Incarnation {
  /** The suffix of its records; `ALONE` for what was counted without a store. */
  readonly ordinal: number;
  readonly id: ReplicaId;
  /** Decimal digits; undefined while it runs. */
  readonly through?: string | undefined;
  /**
   * When its slots were folded, Unix ms, and under which term of the store: they stay for a time, should the store go
   * back behind it.
   */
  readonly foldedAt?: number | undefined;
  readonly foldedTerm?: string | undefined;
  /**
   * Another process counted under its id, too: what each of them has is not known to the other, and is not published
   * any more.
   */
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

export interface IdentityDocument {
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
  /**
   * Under this term of a durable store all that is known here was asserted to it. Under another one it may have gone
   * back since.
   */
  readonly assertedTerm?: string | undefined;
  /** Slots have left this directory for the store: what it does not know is not zero. */
  readonly hasEvicted?: boolean | undefined;
}

/** Parts of the document that are to be replaced. */
export type Change = Partial<Omit<IdentityDocument, 'format' | 'directory'>>;

/**
 * The file could not be written. In memory it is what it was, and whoever acts on the change has not begun to; on the
 * disk it may have changed, which harms nothing: the next change replaces it as a whole, and it says what was to be
 * true.
 */
export class IdentityWriteError extends Error {
  override readonly name = 'IdentityWriteError';
  /** The attempt before it was not one that failed. */
  readonly isFirst: boolean;

  constructor(cause: unknown, isFirst: boolean, file = IDENTITY_FILE) {
    super(`${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.isFirst = isFirst;
  }
}

export class Identity {
  readonly disk: Disk;
  #document: IdentityDocument;
  #changing: Promise<void> = Promise.resolve();
  #hasFailed = false;

  private constructor(disk: Disk, document: IdentityDocument) {
    this.disk = disk;
    this.#document = document;
  }

  /** Reads the file, or makes it. @throws DamageError, UnsupportedFormatError, and the system's errors */
  static async open(disk: Disk, random: Random): Promise<Identity> {
    const bytes = await readIdentity(disk);
    if (bytes !== undefined) return Identity.#read(disk, bytes);
    const document: IdentityDocument = {
      format: FORMAT,
      directory: newId(random),
      nextOrdinal: ALONE + 1,
      incarnations: [],
    };
    const identity = new Identity(disk, document);
    await identity.#write({});
    return identity;
  }

  /**
   * Writes the file of a copy of a directory, given that of the original. A copy does not go on under the original's
   * id, which may run, or be started again: it has no baton, so its next start counts under a fresh id, and what it has
   * of the earlier ones is published as by an heir.
   * @throws DamageError, UnsupportedFormatError, IdentityWriteError
   */
  static async writeCopy(disk: Disk, bytes: Uint8Array): Promise<void> {
    await new Identity(disk, parseIdentity(bytes).document).change({ baton: undefined });
  }

  static async #read(disk: Disk, bytes: Uint8Array): Promise<Identity> {
    const { document, isChecked } = parseIdentity(bytes);
    const identity = new Identity(disk, document);
    // A full disk keeps nobody from starting: the next change writes it anew.
    if (!isChecked) await Promise.allSettled([identity.#write({})]);
    return identity;
  }

  get document(): IdentityDocument {
    return this.#document;
  }

  /** The incarnation with this ordinal, unless it is folded. */
  incarnation(ordinal: number): Incarnation | undefined {
    return this.#document.incarnations.find((incarnation) => incarnation.ordinal === ordinal);
  }

  /**
   * Replaces parts of the document, durably; one change after the other, each made from what the one before has left.
   * @param parts or what they are, given the document as it is when its turn has come.
   * @throws IdentityWriteError: nothing has changed here
   */
  change(parts: Change | ((document: IdentityDocument) => Change)): Promise<void> {
    const changed = this.#changing.then(() =>
      this.#change(typeof parts === 'function' ? parts(this.#document) : parts),
    );
    this.#changing = changed.catch(() => {
      // Whoever asked for it is told; it has left the document as it was.
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
    const next = { ...this.#document, ...parts };
    await replaceSmallFile(this.disk, IDENTITY_FILE, encodeSmallFile(next));
    this.#document = next;
  }
}

/** 128 random bits in hexadecimal. */
export function newId(random: Random): string {
  return Array.from(random.bytes(ID_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The file as it is now; undefined where there is none. @throws DamageError, the system's errors */
export function readIdentity(disk: Disk): Promise<Uint8Array | undefined> {
  return readSmallFile(disk, IDENTITY_FILE);
}

/** What the file says. @throws DamageError, UnsupportedFormatError */
export function parseIdentity(bytes: Uint8Array): { readonly document: IdentityDocument; readonly isChecked: boolean } {
  const { content, isChecked } = decodeSmallFile(IDENTITY_FILE, bytes);
  const { format } = content;
  if (typeof format === 'number' && format > FORMAT) {
    throw new UnsupportedFormatError(IDENTITY_FILE, 0, `format ${format} is not ${FORMAT}`);
  }
  const wrong = format === (isChecked ? FORMAT : FORMAT_UNCHECKED) ? wrongField(content, DOCUMENT) : 'format';
  if (wrong !== undefined) throw new DamageError(IDENTITY_FILE, 0, `its field "${wrong}" is not what it must be`);
  const document = { ...content, format: FORMAT } as unknown as IdentityDocument;
  const { incarnations, nextOrdinal } = document;
  if (!incarnations.every(({ ordinal }, at) => ordinal < (incarnations[at + 1]?.ordinal ?? nextOrdinal))) {
    throw new DamageError(IDENTITY_FILE, 0, 'its ordinals are not in order');
  }
  return { document, isChecked };
}

const ORDINAL_MAX = 2 ** 32 - 1;
const TEXT_MAX = 65_536;
const isId = isForm(/^[0-9a-f]{32}$/);
const isTerm = isText(TEXT_MAX);
const isSequence = isForm(/^(?:0|[1-9][0-9]{0,18})$/);
const isIncarnation: Check = isOf({
  required: { ordinal: isWhole(ALONE, ORDINAL_MAX), id: isId },
  optional: {
    through: isSequence,
    foldedAt: isWhole(0, Number.MAX_SAFE_INTEGER),
    foldedTerm: isTerm,
    isForked: isFlag,
  },
});
const isAttachment: Check = isOf({
  required: { store: isText(TEXT_MAX), nonce: isId, isRegistered: isFlag, localPatterns: isListOf(isText(TEXT_MAX)) },
  optional: { isDurable: isFlag },
});
const DOCUMENT = {
  required: {
    format: isWhole(FORMAT_UNCHECKED, FORMAT),
    directory: isId,
    nextOrdinal: isWhole(ALONE + 1, ORDINAL_MAX + 1),
    incarnations: isListOf(isIncarnation),
  },
  optional: { attachment: isAttachment, baton: isId, batonTerm: isTerm, assertedTerm: isTerm, hasEvicted: isFlag },
};
