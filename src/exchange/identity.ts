/**
 * `replica.json`: the identity of a data directory towards slot stores. Created with the directory, with or without a
 * store.
 *
 * Invariants:
 * - An incarnation is in the file, durably, before anything is counted under its ordinal; ordinals are never assigned
 *   twice.
 * - `through` of an incarnation that has ended is the last group that it may have made durable: its slots have that
 *   version for good, no matter which process publishes them.
 * - The file is replaced as a whole, with a checksum (`small-file.ts`). A file of format 1 has none, and is rewritten
 *   after it was read.
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
  /** The suffix of its records; `ALONE` for counts made without a store. */
  readonly ordinal: number;
  readonly id: ReplicaId;
  /** Decimal digits; undefined while it runs. */
  readonly through?: string | undefined;
  /**
   * When its slots were folded, Unix ms, and under which term of the store: they stay for a time, in case the store
   * goes back to before the fold.
   */
  readonly foldedAt?: number | undefined;
  readonly foldedTerm?: string | undefined;
  /** Another process also counted under its id: neither knows the other's counts, so they are no longer published. */
  readonly isForked?: boolean | undefined;
}

export interface Attachment {
  /** The store's id. */
  readonly store: string;
  /** The store never loses what it has confirmed, so some counts may exist only there. */
  readonly isDurable?: boolean | undefined;
  /** Distinguishes this directory from its copies while its import is being registered. */
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
   * The term of a durable store under which everything known here was sent to it. Under another term it may have gone
   * back since.
   */
  readonly assertedTerm?: string | undefined;
  /** Slots were evicted from this directory to the store: a counter that it does not know is not zero. */
  readonly hasEvicted?: boolean | undefined;
}

/** The parts of the document to replace. */
export type Change = Partial<Omit<IdentityDocument, 'format' | 'directory'>>;

/**
 * The file could not be written. The document in memory is unchanged, and nothing has acted on the change. The file on
 * disk may have changed, which is harmless: it states what was intended, and the next change replaces it as a whole.
 */
export class IdentityWriteError extends Error {
  override readonly name = 'IdentityWriteError';
  /** Whether the previous attempt did not fail. */
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

  /** Reads or creates the file. @throws DamageError, UnsupportedFormatError, and the system's errors */
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
   * Writes the file of a copy of a directory, given that of the original. A copy must not continue under the original's
   * id, because the original may be running or be started again. It has no baton, so its next start counts under a
   * fresh id and publishes the earlier slots as an heir.
   * @throws DamageError, UnsupportedFormatError, IdentityWriteError
   */
  static async writeCopy(disk: Disk, bytes: Uint8Array): Promise<void> {
    await new Identity(disk, parseIdentity(bytes).document).change({ baton: undefined });
  }

  static async #read(disk: Disk, bytes: Uint8Array): Promise<Identity> {
    const { document, isChecked } = parseIdentity(bytes);
    const identity = new Identity(disk, document);
    // A full disk does not prevent a start: the next change rewrites the file.
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
   * Replaces parts of the document, durably; one change after another, each based on the result of the previous one.
   * @param parts or a function that computes them from the document when its turn comes.
   * @throws IdentityWriteError: the document in memory is unchanged
   */
  change(parts: Change | ((document: IdentityDocument) => Change)): Promise<void> {
    const changed = this.#changing.then(() =>
      this.#change(typeof parts === 'function' ? parts(this.#document) : parts),
    );
    this.#changing = changed.catch(() => {
      // Its caller is notified; the document is unchanged.
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

/** The current file; undefined if there is none. @throws DamageError, the system's errors */
export function readIdentity(disk: Disk): Promise<Uint8Array | undefined> {
  return readSmallFile(disk, IDENTITY_FILE);
}

/** The content of the file. @throws DamageError, UnsupportedFormatError */
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
