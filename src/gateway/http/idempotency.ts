/**
 * Idempotency keys of requests. The fingerprint is a digest of the request (method, address, conditions, body bytes),
 * so the same key with another request is refused instead of getting the answer to a different request.
 */
import { createHash, hash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Chunk, CommandOptions, IdempotencyKey } from '../../counter/chunk.ts';
import { CountingError } from '../../counter/errors.ts';
import { IDEMPOTENCY_KEY_BYTES_MAX } from '../../counter/limits.ts';
import type { Work } from './turns.ts';

const PRINTABLE = /^[\x20-\x7e]+$/;
/** 16 bytes: clients gain nothing from collisions with their own requests. */
const FINGERPRINT_DIGITS = 32;
/** Of a command in a chunk's digest: amount and length of the name. */
const COMMAND_HEAD_BYTES = 12;
/** The first chunk of an import has up to 72: see `cli/import-chunks.ts`. */
const PLACES_MAX = 100;
const IMPORT_FIELDS = ['tallyd-import-chunk', 'tallyd-import-after', 'tallyd-import-places'];
const NO_BODY = new Uint8Array(0);
const STEP_BYTES = 1024 * 1024;

/** Whether the request has a key of its own, so that its body's digest is needed. */
export function isKeyed(request: FastifyRequest): boolean {
  return request.headers['idempotency-key'] !== undefined;
}

/** Digest of method, address, conditions and body. */
export function fingerprintOf(request: FastifyRequest, body: Uint8Array = NO_BODY): string {
  return hash('sha256', Buffer.concat([headOf(request), body])).slice(0, FINGERPRINT_DIGITS);
}

/** The same of a body that may be large. */
export function* fingerprintOfLarge(request: FastifyRequest, body: Uint8Array): Work<string> {
  if (body.length <= STEP_BYTES) return fingerprintOf(request, body);
  const digest = createHash('sha256').update(headOf(request));
  for (let at = 0; at < body.length; at += STEP_BYTES) {
    digest.update(body.subarray(at, at + STEP_BYTES));
    yield;
  }
  return digest.digest('hex').slice(0, FINGERPRINT_DIGITS);
}

function headOf(request: FastifyRequest): Buffer {
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers;
  const conditions = match === undefined && noneMatch === undefined ? '' : `${JSON.stringify([match, noneMatch])}\n`;
  return Buffer.from(`${request.method} ${request.raw.url}\n${conditions}`);
}

/**
 * The key in the `Idempotency-Key` header, if there is one. The draft standard writes it in quotes, most callers
 * don't: both are the same key.
 * @throws CountingError invalid_idempotency_key, also for fields of an import, which would be lost here and count twice
 */
export function keyOf(request: FastifyRequest): IdempotencyKey | undefined {
  if (IMPORT_FIELDS.some((field) => request.headers[field] !== undefined)) {
    const detail =
      'Tallyd-Import-Chunk goes with POST /v1/batch, and Tallyd-Import-After and Tallyd-Import-Places with it';
    throw new CountingError('invalid_idempotency_key', detail);
  }
  const header = request.headers['idempotency-key'];
  if (header === undefined) return undefined;
  const key = validKey(String(header).replace(/^"([^"\\]+)"$/, '$1'));
  return { scope: 'request', key, fingerprint: request.fingerprint || fingerprintOf(request) };
}

/**
 * The key of a batch: `Idempotency-Key`, or `Tallyd-Import-Chunk`, whose id is kept for good.
 * @param chunk what the batch counts
 * @throws CountingError invalid_idempotency_key
 */
export function batchKeyOf(request: FastifyRequest, chunk: Chunk): IdempotencyKey | undefined {
  const header = request.headers['tallyd-import-chunk'];
  if (header === undefined) return keyOf(request);
  if (isKeyed(request)) {
    const detail = 'a batch has either an Idempotency-Key or a Tallyd-Import-Chunk, not both';
    throw new CountingError('invalid_idempotency_key', detail);
  }
  const { 'tallyd-import-after': after, 'tallyd-import-places': places } = request.headers;
  return {
    scope: 'import',
    key: importId(String(header)),
    fingerprint: contentOf(chunk),
    after: after === undefined ? undefined : importId(String(after)),
    places: places === undefined ? undefined : placesOf(String(places)),
  };
}

/** Ids with commas between them. */
function placesOf(header: string): string[] {
  const ids = header.split(',', PLACES_MAX + 1);
  if (ids.length > PLACES_MAX) {
    throw new CountingError('invalid_idempotency_key', `Tallyd-Import-Places names at most ${PLACES_MAX} places`);
  }
  return ids.map((id) => importId(id.trim()));
}

/**
 * Digest of what is counted: names and amounts, with their bounds and times to live. Ids do not count: an import may
 * leave them out.
 */
function contentOf({ count, names, nameStart, nameLength, amount, options, atomic }: Chunk): string {
  let bytes = 0;
  for (let i = 0; i < count; i++) bytes += COMMAND_HEAD_BYTES + nameLength[i];
  const counted = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (let i = 0; i < count; i++) {
    counted.writeInt32LE(amount[2 * i], at);
    counted.writeInt32LE(amount[2 * i + 1], at + 4);
    counted.writeInt32LE(nameLength[i], at + 8);
    at += COMMAND_HEAD_BYTES;
    counted.set(names.subarray(nameStart[i], nameStart[i] + nameLength[i]), at);
    at += nameLength[i];
  }
  const asked = Array.from({ length: options.length }, (_, i) => askedOf(options[i]));
  const rest = Buffer.from(`${atomic}${asked.join('\n').trimEnd()}`);
  return hash('sha256', Buffer.concat([counted, rest])).slice(0, FINGERPRINT_DIGITS);
}

/** Bounds and time to live as text; empty without any. */
function askedOf(options: CommandOptions | undefined): string {
  if (options === undefined) return '';
  const asked = Object.entries(options).filter(([field, value]) => field !== 'id' && value !== undefined);
  const text = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
  return asked.map(([field, value]) => `${field} ${text(value)}`).join(' ');
}

/** The key of one entry in a batch; `asked`: the entry's update. @throws CountingError invalid_idempotency_key */
export function entryKey(id: string, asked: string): IdempotencyKey {
  const fingerprint = hash('sha256', asked).slice(0, FINGERPRINT_DIGITS);
  return { scope: 'request', key: validKey(id), fingerprint };
}

/** An id of an import: `>` marks places inside of chunks. @throws CountingError invalid_idempotency_key */
function importId(id: string): string {
  if (!id.startsWith('>')) return validKey(id);
  throw new CountingError('invalid_idempotency_key', 'the id of an import begins with no ">"');
}

function validKey(key: string): string {
  if (key.length <= IDEMPOTENCY_KEY_BYTES_MAX && PRINTABLE.test(key)) return key;
  throw new CountingError('invalid_idempotency_key');
}
