/** The bytes to import: from a file or stdin, decompressed if they begin like gzip. */
import { open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { fileTrouble } from '../std/file-trouble.ts';
import { FileError } from './failure.ts';
import type { World } from './terminal.ts';

type Blocks = AsyncGenerator<Uint8Array, void, undefined>;

/** Content that is being read. */
export interface Content {
  /** Its name in messages. */
  readonly source: string;
  /** Of the file on disk; undefined for stdin. */
  readonly bytesTotal: number | undefined;
  /** Read so far, before decompression. */
  bytesRead: number;
  readonly blocks: AsyncIterable<Uint8Array>;
  /** Stops reading: an open stdin would keep the process alive. */
  close(): void;
}

/** @param path `-` for stdin. @throws FileError */
export async function openContent(path: string, world: World): Promise<Content> {
  const isStdin = path === '-';
  const source = isStdin ? 'stdin' : path;
  const { stream, bytesTotal } = isStdin ? { stream: world.stdin, bytesTotal: undefined } : await openFile(path);
  const content: Content = {
    source,
    bytesTotal,
    bytesRead: 0,
    blocks: { [Symbol.asyncIterator]: () => readable(plain(counted(stream, () => content)), source) },
    close: () => stream.destroy(),
  };
  return content;
}

async function openFile(path: string): Promise<{ stream: Readable; bytesTotal: number | undefined }> {
  try {
    const file = await open(path);
    const status = await file.stat();
    // A named pipe or a device has no size.
    const bytesTotal = status.isFile() ? status.size : undefined;
    return { stream: file.createReadStream({ highWaterMark: 256 * 1024 }), bytesTotal };
  } catch (error) {
    throw new FileError('file_unreadable', `cannot read ${path}: ${fileTrouble(error)}`, error);
  }
}

/** @throws FileError for any error of the stream or the decompression. */
async function* readable(blocks: AsyncIterable<Uint8Array>, source: string): Blocks {
  try {
    yield* blocks;
  } catch (error) {
    throw new FileError('file_unreadable', `cannot read ${source} to its end: ${fileTrouble(error)}`, error);
  }
}

async function* counted(stream: Readable, content: () => Content): Blocks {
  for await (const block of stream as AsyncIterable<Uint8Array>) {
    content().bytesRead += block.length;
    yield block;
  }
}

/** Decompresses input that begins with gzip's magic bytes; JSON never does. */
async function* plain(blocks: Blocks): Blocks {
  let start: Uint8Array = new Uint8Array(0);
  while (start.length < 2) {
    const next = await blocks.next();
    if (next.done === true) break;
    start = start.length === 0 ? next.value : Buffer.concat([start, next.value]);
  }
  if (start[0] !== 0x1f || start[1] !== 0x8b) {
    yield start;
    yield* blocks;
    return;
  }
  async function* all(): Blocks {
    yield start;
    yield* blocks;
  }
  yield* pipeline(Readable.from(all()), createGunzip(), () => {
    // The iteration also throws the error, to the reader.
  });
}
