/** `POST /v1/batch`: up to 10 000 increments, each with its own outcome, or all or nothing. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Chunk } from '../../counter/chunk.ts';
import { CountingError, DONE, ERRORS, type ErrorCode, errorCode } from '../../counter/errors.ts';
import { AnswerBuffers, batchAnswerBytesMax, writeBatchAnswer } from './batch-answer.ts';
import { type BatchBody, BatchReader, ENTRY_NAME_BYTES_MAX, type EntryRefusal, readBatch } from './batch-body.ts';
import { asStrings, type Door } from './door.ts';
import type { Exchange } from './exchanges.ts';
import { batchKeyOf, fingerprintOf, isKeyed } from './idempotency.ts';
import { sendProblem } from './problems.ts';
import * as schemas from './schemas.ts';

/** A batch that has arrived. */
interface ReceivedBatch {
  readonly exchange: Exchange;
  readonly body: BatchBody;
}

/** Registers the route in a scope of its own, where bodies are read as batches. */
export async function batchRoutes(app: FastifyInstance, door: Door): Promise<void> {
  const buffers = new AnswerBuffers();
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (request, stream, done) => {
      door.bodies.receive(stream, (error, bytes) => {
        if (error !== undefined) return done(error);
        if (isKeyed(request)) request.fingerprint = fingerprintOf(request, bytes);
        const exchange = door.exchanges.beginBatch();
        let body: BatchBody;
        try {
          body = readBatch(bytes, request.headers['content-type'], exchange.chunk);
        } catch (refusal) {
          return done(refusal as CountingError);
        }
        done(null, { exchange, body } satisfies ReceivedBatch);
      });
    });
    const schema = {
      tags: ['batch'],
      operationId: 'batch',
      querystring: schemas.BatchQuery,
      response: schemas.answers(schemas.BatchAnswer),
      summary: 'Many increments at once, each with its own outcome, or all or nothing.',
    };
    scope.post('/v1/batch', { schema, config: { isUpdate: true, isBatch: true } }, (request, reply) => {
      submitBatch(door, buffers, request, reply);
    });
  });
}

function submitBatch(door: Door, buffers: AnswerBuffers, request: FastifyRequest, reply: FastifyReply): void {
  const { exchange, body } = request.body as Partial<ReceivedBatch>;
  if (exchange === undefined || body === undefined) throw new CountingError('invalid_body', 'a batch needs a body');
  const { count, atomic: inBody } = body;
  const { atomic: inQuery } = request.query as schemas.BatchQuery;
  if (inBody !== undefined && inQuery !== undefined) {
    throw new CountingError('invalid_body', 'atomic is given twice, in the query and in the body');
  }
  const atomic = inBody ?? inQuery === 'true';
  // Parsed entries are large: not to be kept while the disk is waited for.
  request.body = undefined;

  const refusals = readEntries(exchange, body, atomic);
  const { chunk } = exchange;
  chunk.atomic = atomic;
  chunk.key = batchKeyOf(request, chunk);
  const fitRoom = door.answers.reserve(reply, batchAnswerBytesMax(chunk, refusals));
  exchange.tie(reply, asStrings(request), () => {
    if (atomic && sendCulprit(exchange, reply, refusals)) return;
    const passing = commonPassing(chunk);
    if (passing !== undefined && refusals.size === 0) {
      sendProblem(reply, passing, undefined, { retryAfterMs: chunk.retryAfterMs || undefined });
      return;
    }
    const json = buffers.take();
    writeBatchAnswer(exchange, count, refusals, json);
    fitRoom(json.length);
    reply.raw.once('close', () => buffers.giveBack(json));
    exchange.send(json.written);
  });
  if (chunk.count === 0 || (atomic && refusals.size > 0)) door.exchanges.answerAtOnce(exchange);
  else door.exchanges.submit(exchange);
}

/** Reads what is not in the chunk yet. @returns the refused entries, as `BatchReader` does. */
function readEntries(exchange: Exchange, { entries, bytes }: BatchBody, atomic: boolean): Map<number, EntryRefusal> {
  if (entries === undefined) return new Map();
  const namesBytes = Math.min(bytes, entries.length * ENTRY_NAME_BYTES_MAX);
  if (exchange.names.length < namesBytes) exchange.names = new Uint8Array(namesBytes);
  return new BatchReader(exchange.chunk, exchange.names).read(entries, atomic);
}

/** Why all entries were refused, where that is one reason which passes: then the batch as a whole may come again. */
function commonPassing(chunk: Chunk): ErrorCode | undefined {
  const id = chunk.code[0];
  if (chunk.count === 0 || id === DONE) return undefined;
  const code = errorCode(id);
  const { httpStatus } = ERRORS[code];
  if (httpStatus !== 503 && httpStatus !== 429) return undefined;
  for (let i = 1; i < chunk.count; i++) if (chunk.code[i] !== id) return undefined;
  return code;
}

/** Answers an atomic batch with the problem of the entry that was refused; false: none was. */
function sendCulprit(
  { chunk, asStrings }: Exchange,
  reply: FastifyReply,
  refusals: ReadonlyMap<number, EntryRefusal>,
): boolean {
  const [first] = refusals;
  if (first !== undefined) {
    const [index, { name, code, detail }] = first;
    sendProblem(reply, code, detail, { index, name });
    return true;
  }
  for (let i = 0; i < chunk.count; i++) {
    const id = chunk.code[i];
    if (id === DONE || id === ERRORS.atomic_refused.id) continue;
    const start = chunk.nameStart[i];
    const name = Buffer.from(chunk.names.subarray(start, start + chunk.nameLength[i])).toString('utf8');
    if (chunk.replayed) reply.header('idempotency-replayed', 'true');
    const retryAfterMs = chunk.retryAfterMs || undefined;
    const standing = chunk.standing(i);
    sendProblem(reply, errorCode(id), undefined, { index: i, name, retryAfterMs, standing, asStrings });
    return true;
  }
  return false;
}
