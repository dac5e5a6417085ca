/**
 * Cuts an import's content into chunks, each with the id under which the server counts it at most once, for good.
 *
 * The rule is a format: content that was imported with one version must get the same ids from every later one, or it
 * would be counted again. It is pinned by a test, and stated in docs/import.md:
 * - The content is the bytes of the non-blank lines, each with one newline behind it; so blank lines and a missing
 *   newline at the end make no difference. It is taken after decompression.
 * - A chunk ends behind the line with which it has 5 000 lines or 1 MiB, and at the end of the content.
 * - A chunk's id is the SHA-256, in hex, of all content through its end. So equal events at two places of a file have
 *   two ids, and a chunk is known again only behind the same beginning.
 * - `--again` puts a line `again SALT` before the content: no event can look like that.
 */
import { createHash, type Hash } from 'node:crypto';
import type { BatchUpdate } from '../client/client.ts';
import { isBlank, type Line, LineSplitter, parseLine } from './import-lines.ts';

export const CHUNK_LINES = 5_000;
export const CHUNK_BYTES = 1024 * 1024;

export interface ImportChunk {
  readonly id: string;
  /** In the order of the lines. */
  readonly updates: readonly BatchUpdate[];
  /** The lines as they were, for messages about them. */
  readonly lines: readonly Line[];
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
  const rest = builder.end();
  if (rest !== undefined) yield rest;
}

class ChunkBuilder {
  readonly #withIds: boolean;
  readonly #hash: Hash = createHash('sha256');
  #updates: BatchUpdate[] = [];
  #lines: Line[] = [];
  #bytes = 0;

  constructor({ salt, withIds }: ChunkRule) {
    this.#withIds = withIds;
    if (salt !== undefined) this.#hash.update(`again ${salt}\n`);
  }

  /** @returns the chunk that the line completes. */
  add(line: Line): ImportChunk | undefined {
    if (isBlank(line.bytes)) return undefined;
    const update = parseLine(line);
    this.#updates.push(this.#withIds ? update : { ...update, id: undefined });
    this.#lines.push(line);
    this.#hash.update(line.bytes).update('\n');
    this.#bytes += line.bytes.length + 1;
    return this.#lines.length >= CHUNK_LINES || this.#bytes >= CHUNK_BYTES ? this.end() : undefined;
  }

  /** @returns what has gathered. */
  end(): ImportChunk | undefined {
    if (this.#lines.length === 0) return undefined;
    const chunk = { id: this.#hash.copy().digest('hex'), updates: this.#updates, lines: this.#lines };
    this.#updates = [];
    this.#lines = [];
    this.#bytes = 0;
    return chunk;
  }
}
