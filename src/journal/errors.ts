/** Errors of the files, or of the disk below them. */

/**
 * Durable bytes differ from what was written. The start is refused and nothing is changed: continuing would lose
 * acknowledged updates.
 */
export class DamageError extends Error {
  override readonly name = 'DamageError';
  readonly file: string;
  /** Byte offset in the file. */
  readonly offset: number;
  readonly reason: string;

  constructor(file: string, offset: number, reason: string) {
    super(
      `${file} is damaged at offset ${offset}: ${reason}; nothing was changed; ` +
        'restore the data directory from a backup (docs/what-happens-when.md); `tallyd verify DIR` lists what is whole',
    );
    this.file = file;
    this.offset = offset;
    this.reason = reason;
  }
}

/** The files are whole, but written by a newer version. */
export class UnsupportedFormatError extends Error {
  override readonly name = 'UnsupportedFormatError';
  readonly file: string;
  readonly offset: number;

  constructor(file: string, offset: number, reason: string) {
    super(`${file}, offset ${offset}: ${reason}; start the version of tallyd that wrote it, or a newer one`);
    this.file = file;
    this.offset = offset;
  }
}

/** A write or sync failed or took too long: the journal is unusable until `replace()` succeeds. */
export class JournalFailure extends Error {
  override readonly name = 'JournalFailure';
}

/** A file that the next start needs is missing or has changed. */
export class FileLost extends JournalFailure {
  constructor(file: string) {
    super(`${file} was removed, replaced or cut short under the running process; everything is written anew`);
  }
}

/** A `JournalFailure` from the error of a disk operation; created only where such an operation is awaited. */
export function journalFailure(error: unknown): JournalFailure {
  if (error instanceof JournalFailure) return error;
  return new JournalFailure(error instanceof Error ? error.message : String(error), { cause: error });
}
