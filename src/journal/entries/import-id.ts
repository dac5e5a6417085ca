/** The id of an imported chunk: kept for good. */
import { assert } from '../../std/assert.ts';
import type { GroupBuffer } from '../group.ts';
import type { EntryType } from './entry.ts';
import { readHex, readMs } from './words.ts';

const BYTES = 32;

/** As digests in lower-case hex. */
export interface ImportId {
  /** Of the id, 16 bytes. */
  readonly digest: string;
  /** Of what the chunk held, 8 bytes; zeros: not known. */
  readonly content: string;
  readonly appliedAtMs: number;
}

export interface ImportIdReplay {
  importId(id: ImportId): void;
}

export const IMPORT_ID: EntryType<ImportIdReplay> = {
  number: 10,
  replay({ bytes, words }, at, length, replay) {
    if (length !== BYTES) return false;
    const appliedAtMs = readMs(words, at + 24);
    replay.importId({ digest: readHex(bytes, at, 16), content: readHex(bytes, at + 16, 8), appliedAtMs });
    return true;
  },
};

export function putImportId(group: GroupBuffer, { digest, content, appliedAtMs }: ImportId): void {
  assert(
    /^[0-9a-f]{32}$/.test(digest) && /^[0-9a-f]{16}$/.test(content),
    'digests are lower-case hex of 16 and 8 bytes',
  );
  const at = group.open(IMPORT_ID.number, BYTES);
  group.pieceBytes.set(Buffer.from(digest + content, 'hex'), at);
  group.putMs(at + 24, appliedAtMs);
}
