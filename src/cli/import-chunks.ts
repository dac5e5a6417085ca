/**
 * Cuts an import's content into chunks, each with the id under which the server counts it at most once, for good.
 *
 * The rule is a format: content that was imported with one version must get the same ids from every later one, or it
 * would be counted again. It is pinned by a test, and stated in docs/import.md:
 * - The content is the bytes of the non-blank lines, each with one newline after it; so blank lines and a missing
 *   newline at the end make no difference. It is taken after decompression.
 * - A chunk ends with the line with which it has 5 000 lines or 1 MiB, and at the end of the content.
 * - A chunk's id is the SHA-256, in hex, of all content through its end. So equal events at two places of a file have
 *   two ids, and a chunk is known again only after the same beginning.
 * - `--again` puts a line `again SALT` before the content: no event can look like that.
 *
 * Content may grow: a log that is written to, a producer that was cut off. Its last chunk is not full then, and the
 * longer content has no chunk with that end. To let a later import find how far an earlier one came, a last chunk of n
 * lines is sent in parts that end at the binary prefixes of n (of 100: 64, 96, 100), each with the id of the content
 * through its end. Each part names what comes before it and the places after its beginning where an import of this
 * content may have ended; the server accepts it only if none of them is known and nothing else was accepted after the
 * same beginning, and remembers those inside of it.
 *
 * Why that finds them all: let m lines of a chunk be imported. By induction all binary prefixes of m are known: those
 * up to where the last import began are prefixes of that place, too. The first of them after a place p < m is `((p >>
 * k) + 1) << k` for some k, and nothing after m is known. So the last known place of these leads on from p, step by
 * step, to m. Content that ends or differs inside of what was imported reaches a place after which other content was
 * accepted, and is refused. But each of the first 64 lines of a file is such a place, so a file that only begins like
 * another one is distinguished from a copy and counted whole.
 */
import { createHash, type Hash } from 'node:crypto';
import type { BatchUpdate } from '../client/client.ts';
import { isBlank, type Line, LineSplitter, parseLine } from './import-lines.ts';

export const CHUNK_LINES = 5_000;
export const CHUNK_BYTES = 1024 * 1024;
/** Two different files may begin with this many equal events. */
const CHANCE_LINES = 64;

/** Lines that are sent together. */
export interface ImportPart {
  /** Of the content through its end. */
  readonly id: string;
  /** In the order of the lines. */
  readonly updates: readonly BatchUpdate[];
  /** The lines as they were, for messages about them. */
  readonly lines: readonly Line[];
  /** Of the content before it; undefined: it is the first. */
  readonly after: string | undefined;
  /**
   * Of the content through places where earlier imports may have ended after its beginning, by length; its own is among
   * them.
   */
  readonly places: readonly string[];
}

export class ImportChunk {
  readonly updates: readonly BatchUpdate[];
  readonly lines: readonly Line[];
  /** The content may grow after it. */
  readonly isOpen: boolean;
  /** Of all content before the chunk; undefined: there is none. */
  readonly after: string | undefined;
  /** Hashes of all content before the chunk, and through its end. */
  readonly #before: Hash;
  readonly hash: Hash;
  /** Ids by the number of the chunk's lines that they cover. */
  readonly #ids = new Map<number, string>();

  constructor(
    before: { readonly id: string | undefined; readonly hash: Hash },
    updates: readonly BatchUpdate[],
    lines: readonly Line[],
    isOpen: boolean,
  ) {
    this.after = before.id;
    this.#before = before.hash;
    this.updates = updates;
    this.lines = lines;
    this.isOpen = isOpen;
    this.hash = this.#addIds(this.#placesAfter(0));
  }

  /** Of all content through its end. */
  get id(): string {
    return this.#idThrough(this.lines.length);
  }

  /**
   * The next part to be sent when the first `from` lines are imported.
   * @param shared at the beginning: as many lines begin other content, too
   */
  partAfter(from: number, shared = 0): ImportPart {
    const { length } = this.lines;
    const end = this.isOpen ? nextPrefix(from, length) : length;
    const all = [...this.#placesAfter(from), end].filter((place) => place > shared);
    const places = [...new Set(all)].sort((a, b) => a - b);
    this.#addIds(from === 0 ? places : [from, ...places]);
    return {
      id: this.#idThrough(end),
      updates: this.updates.slice(from, end),
      lines: this.lines.slice(from, end),
      after: from === 0 ? this.after : this.#idThrough(from),
      places: places.map((place) => this.#idThrough(place)),
    };
  }

  /** How many of the chunk's lines the import with this id covers: one of a part's places. */
  placeOf(id: string): number {
    for (const [place, known] of this.#ids) if (known === id) return place;
    throw new RangeError('the server names an import that it was not asked for');
  }

  /**
   * Whether content that was imported shares only its first `place` lines with this one, and goes on otherwise: so few
   * lines can begin alike by chance.
   */
  isOtherAfter(place: number): boolean {
    return this.after === undefined && place < CHANCE_LINES && place < this.lines.length;
  }

  /**
   * Where an import of the same content that came further than `from` lines may have ended a part first; the last is
   * the end.
   */
  #placesAfter(from: number): number[] {
    const { length } = this.lines;
    const places = [length];
    for (let k = 0; 1 << k <= CHUNK_LINES; k++) places.push(((from >> k) + 1) << k);
    if (this.after === undefined) for (let place = from + 1; place <= CHANCE_LINES; place++) places.push(place);
    return places.filter((place) => place <= length);
  }

  #idThrough(place: number): string {
    const id = this.#ids.get(place);
    if (id === undefined) throw new RangeError(`there is no id through line ${place}`);
    return id;
  }

  /** Computes the ids of the content through this many lines of the chunk. @returns the hash of all of it */
  #addIds(places: readonly number[]): Hash {
    const hash = this.#before.copy();
    const wanted = new Set(places.filter((place) => !this.#ids.has(place)));
    if (wanted.size === 0) return hash;
    this.lines.forEach(({ bytes }, i) => {
      hash.update(bytes).update('\n');
      if (wanted.has(i + 1)) this.#ids.set(i + 1, hash.copy().digest('hex'));
    });
    return hash;
  }
}

/** The first binary prefix of `length` after `from`. */
function nextPrefix(from: number, length: number): number {
  let k = 0;
  while ((length >> (k + 1)) << (k + 1) > from) k++;
  return (length >> k) << k;
}

export interface ChunkRule {
  /** Of `--again`; undefined: content that was imported before is known again. */
  readonly salt: string | undefined;
  /** Whether events keep their `id`s. They belong to the content either way. */
  readonly withIds: boolean;
}

/** @throws MalformedLine, after the chunks before that line's. */
export async function* chunksOf(content: AsyncIterable<Uint8Array>, rule: ChunkRule): AsyncGenerator<ImportChunk> {
  const splitter = new LineSplitter();
  const builder = new ChunkBuilder(rule);
  for await (const block of content) {
    for (const line of splitter.push(block)) {
      const chunk = builder.add(line);
      if (chunk !== undefined) yield chunk;
    }
  }
  const last = splitter.end();
  const full = last === undefined ? undefined : builder.add(last);
  if (full !== undefined) yield full;
  const rest = builder.end(true);
  if (rest !== undefined) yield rest;
}

class ChunkBuilder {
  readonly #withIds: boolean;
  /** Of all content before the chunk that gathers. */
  #before: { readonly id: string | undefined; readonly hash: Hash } = { id: undefined, hash: createHash('sha256') };
  #updates: BatchUpdate[] = [];
  #lines: Line[] = [];
  #bytes = 0;

  constructor({ salt, withIds }: ChunkRule) {
    this.#withIds = withIds;
    if (salt !== undefined) this.#before.hash.update(`again ${salt}\n`);
  }

  /** @returns the chunk that the line completes. */
  add(line: Line): ImportChunk | undefined {
    if (isBlank(line.bytes)) return undefined;
    const update = parseLine(line);
    this.#updates.push(this.#withIds ? update : { ...update, id: undefined });
    this.#lines.push(line);
    this.#bytes += line.bytes.length + 1;
    return this.#lines.length >= CHUNK_LINES || this.#bytes >= CHUNK_BYTES ? this.end(false) : undefined;
  }

  /** @returns what has gathered. */
  end(isOpen: boolean): ImportChunk | undefined {
    if (this.#lines.length === 0) return undefined;
    const chunk = new ImportChunk(this.#before, this.#updates, this.#lines, isOpen);
    this.#before = chunk;
    this.#updates = [];
    this.#lines = [];
    this.#bytes = 0;
    return chunk;
  }
}
