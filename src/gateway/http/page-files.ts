/**
 * The files of the documentation page, from memory: a client that requests them and does not read holds no descriptor
 * of the process, which the journal may need. Each is read once, when it is asked for first.
 */
import { hash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CountingError } from '../../counter/errors.ts';
import type { Answers } from './answers.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'application/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
};

export class PageFiles {
  readonly #directory: string;
  readonly #answers: Answers;
  readonly #names: ReadonlySet<string>;
  readonly #read = new Map<string, Promise<Buffer>>();

  constructor(directory: string, answers: Answers) {
    this.#answers = answers;
    this.#directory = directory;
    this.#names = new Set(readdirSync(directory));
  }

  /** A handler for a route that ends with `*`. @throws CountingError not_found */
  readonly send = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const name = (request.params as { readonly '*': string })['*'];
    if (!this.#names.has(name)) throw new CountingError('not_found');
    const bytes = await this.#bytesOf(name);
    const etag = `"${hash('sha256', bytes).slice(0, 16)}"`;
    reply.header('etag', etag).header('cache-control', 'public, max-age=0');
    if (request.headers['if-none-match'] === etag) reply.code(304).send();
    else this.#answers.sendBytes(reply, TYPES[extname(name)] ?? 'application/octet-stream', bytes);
    return reply;
  };

  #bytesOf(name: string): Promise<Buffer> {
    let bytes = this.#read.get(name);
    if (bytes === undefined) {
      bytes = readFile(join(this.#directory, name));
      this.#read.set(name, bytes);
      // Another time it may be there.
      bytes.catch(() => this.#read.delete(name));
    }
    return bytes;
  }
}
