/**
 * The ids of imported chunks, kept for good: a chunk that is sent again after a year is not counted again. For each id
 * a digest of the id and one of its chunk's content are kept, outside of the heap:
 *
 *     words 0 to 3   digest of the id
 *     words 4 and 5  digest of the chunk's content; 0 if an earlier version did not keep it: any content passes
 *     words 6 and 7  when it was applied, Unix ms, low word first
 *
 * Invariants:
 * - An entry never moves and is never removed, so a walk may take any time.
 * - `ref` n + 1 is entry n; the index finds it by a keyed hash of the id's digest.
 */
import { hash } from 'node:crypto';
import type { IdempotencyKey } from '../counter/chunk.ts';
import type { ImportId } from '../journal/entries/import-id.ts';
import { NameHash } from './hash.ts';
import { NameIndex } from './name-index.ts';

const ENTRY_WORDS = 8;
const ENTRIES_LOG2 = 14;
const PIECE_ENTRIES = 1 << ENTRIES_LOG2;
const DIGEST_BYTES = 16;
const CONTENT_DIGITS = 16;
const TWO_TO_32 = 2 ** 32;
const NO_OUTCOMES = new Uint8Array(0);

/** One of them, as the idempotency store returns it: a retry of the chunk learns that it was imported, and when. */
export class ImportRecord {
  readonly scope = 'import';
  readonly outcomes = NO_OUTCOMES;
  readonly #ids: ImportIds;
  readonly #ref: number;
  readonly #content: string;
  readonly appliedAtMs: number;

  constructor(ids: ImportIds, ref: number) {
    this.#ids = ids;
    this.#ref = ref;
    const { content, appliedAtMs } = ids.at(ref);
    this.#content = content;
    this.appliedAtMs = appliedAtMs;
  }

  /** In the journal's form. */
  get id(): ImportId {
    return this.#ids.at(this.#ref);
  }

  /** Whether a chunk with this content was imported under the id, as far as known. */
  isOf(fingerprint: string): boolean {
    return this.#content === UNKNOWN_CONTENT || this.#content === contentOf(fingerprint);
  }

  get unsettled(): boolean {
    return this.#ids.unsettled.has(this.#ref);
  }

  set unsettled(isUnsettled: boolean) {
    if (isUnsettled) this.#ids.unsettled.add(this.#ref);
    else this.#ids.unsettled.delete(this.#ref);
  }
}

export class ImportIds {
  readonly #hash: NameHash;
  readonly #pieces: Int32Array[] = [];
  /** Created with the first id: most processes never import. */
  #index: NameIndex | undefined;
  #count = 0;
  /** Ids of failed groups: whether they survive is not known. */
  readonly unsettled = new Set<number>();
  readonly #digest = new Int32Array(DIGEST_BYTES / 4);
  readonly #digestView = new DataView(this.#digest.buffer);

  /** @param hashKey 8 secret random bytes. */
  constructor(hashKey: Uint8Array) {
    this.#hash = new NameHash(hashKey);
  }

  get count(): number {
    return this.#count;
  }

  get byteLength(): number {
    return this.#count * ENTRY_WORDS * 4 + (this.#index?.byteLength ?? 0);
  }

  find(key: string): ImportRecord | undefined {
    const ref = this.#find(digestOf(key));
    return ref === 0 ? undefined : new ImportRecord(this, ref);
  }

  add({ key, fingerprint }: IdempotencyKey, appliedAtMs: number): ImportRecord {
    return this.put({ digest: digestOf(key), content: contentOf(fingerprint), appliedAtMs });
  }

  /** The same for an id from the journal; a known id gets the newly stated content. */
  put({ digest, content, appliedAtMs }: ImportId): ImportRecord {
    let ref = this.#find(digest);
    if (ref === 0) {
      ref = ++this.#count;
      if ((ref - 1) >>> ENTRIES_LOG2 === this.#pieces.length)
        this.#pieces.push(new Int32Array(PIECE_ENTRIES * ENTRY_WORDS));
      this.#words(ref).set(this.#digest);
      this.#index ??= new NameIndex((refs, count, hashes) => this.#hashAll(refs, count, hashes));
      this.#index.insert(this.#hashOf(), ref);
    }
    const words = this.#words(ref);
    words.set(wordsOf(content), 4);
    words[6] = appliedAtMs | 0;
    words[7] = appliedAtMs / TWO_TO_32;
    return new ImportRecord(this, ref);
  }

  /** The entry of a returned ref. */
  at(ref: number): ImportId {
    const words = this.#words(ref);
    return {
      digest: hexOf(words.subarray(0, 4)),
      content: hexOf(words.subarray(4, 6)),
      appliedAtMs: words[7] * TWO_TO_32 + (words[6] >>> 0),
    };
  }

  /** All of them, including those added meanwhile. */
  *records(): Generator<ImportRecord> {
    for (let ref = 1; ref <= this.#count; ref++) yield new ImportRecord(this, ref);
  }

  #find(digest: string): number {
    this.#digest.set(wordsOf(digest));
    const hashed = this.#hashOf();
    if (this.#index === undefined) return 0;
    for (let at = this.#index.first(hashed); at >= 0; at = this.#index.next(at, hashed)) {
      const ref = this.#index.ref(at);
      const words = this.#words(ref);
      if (this.#digest.every((word, i) => word === words[i])) return ref;
    }
    return 0;
  }

  #words(ref: number): Int32Array {
    const at = ((ref - 1) & (PIECE_ENTRIES - 1)) * ENTRY_WORDS;
    return this.#pieces[(ref - 1) >>> ENTRIES_LOG2].subarray(at, at + ENTRY_WORDS);
  }

  /** The words of the digest that was last looked up. */
  #hashOf(): number {
    return this.#hash.of(0, this.#digestView, 0, DIGEST_BYTES);
  }

  #hashAll(refs: Int32Array, count: number, hashes: Int32Array): void {
    const looked = this.#digest.slice();
    for (let i = 0; i < count; i++) {
      this.#digest.set(this.#words(refs[i]).subarray(0, 4));
      hashes[i] = this.#hashOf();
    }
    this.#digest.set(looked);
  }
}

const UNKNOWN_CONTENT = '0'.repeat(CONTENT_DIGITS);

function digestOf(key: string): string {
  return hash('sha256', key).slice(0, DIGEST_BYTES * 2);
}

/** Earlier versions kept a meaningless fingerprint of two digits. */
function contentOf(fingerprint: string): string {
  return fingerprint.length < CONTENT_DIGITS ? UNKNOWN_CONTENT : fingerprint.slice(0, CONTENT_DIGITS);
}

function wordsOf(hex: string): Int32Array {
  const bytes = Buffer.from(hex, 'hex');
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(4 * i));
}

function hexOf(words: Int32Array): string {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString('hex');
}
