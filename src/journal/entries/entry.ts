/**
 * The interface of an entry type. Each type has a file of its own here that writes its entries, reads them, and feeds
 * them to a `Replay`.
 */

/** Memory that entries lie in: the same bytes three ways. */
export interface EntryMemory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly view: DataView;
}

/** @typeParam R what its entries are fed to: the part of a `Replay` that is about them. */
export interface EntryType<R> {
  /** In the header of its entries; never used again for another type. */
  readonly number: number;
  /**
   * Feeds the entry whose payload is `[at, at + length)`.
   * @returns false when the payload is malformed: then nothing was fed
   */
  readonly replay: (memory: EntryMemory, at: number, length: number, replay: R) => boolean;
  /**
   * Of a type that names records: whether a malformed payload is about a kind of record that only a newer version
   * knows.
   */
  readonly hasUnknownKind?: (words: Int32Array, at: number, length: number) => boolean;
}
