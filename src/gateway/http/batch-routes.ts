/** `POST /v1/batch`: up to 10 000 increments, each with its own outcome, or all or nothing. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Chunk } from '../../counter/chunk.ts';
import { CountingError, DONE, ERRORS, type ErrorCode, errorCode } from '../../counter/errors.ts';
import { AnswerBuffers, batchAnswerBytesMax, writeBatchAnswer } from './batch-answer.ts';
import {
  areLinesOf,
  type BatchBody,
  BatchReader,
  ENTRY_NAME_BYTES_MAX,
  type EntryRefusal,
  readBatch,
} from './batch-body.ts';
import { asStrings, type DoorContext } from './door-context.ts';
import { batchKeyOf, fingerprintOfLarge, isKeyed } from './idempotency.ts';
import type { PendingRequest } from './pending-requests.ts';
import { sendProblem } from './problems.ts';
import * as schemas from './schemas.ts';
import type { Work } from './turns.ts';

/** A batch that has arrived. */
interface ReceivedBatch {
  readonly pending: PendingRequest;
  readonly body: BatchBody;
}

/** Its entries are in the pending request's chunk, except the refused ones. */
interface AcceptedBatch extends ReceivedBatch {
  readonly refusals: ReadonlyMap<number, EntryRefusal>;
}

const NONE: ReadonlyMap<number, EntryRefusal> = new Map();

/** Registers the route in a scope of its own, where bodies are read as batches. */
export async function batchRoutes(app: FastifyInstance, door: DoorContext, bytesMax: number): Promise<void> {
  const buffers = new AnswerBuffers();
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (request, stream, done) => {
      door.bodies.receive(stream, bytesMax, (error, bytes, release) => {
        const finish = (refusal: Error | null, batch?: ReceivedBatch): void => {
          release();
          done(refusal, batch);
        };
        if (error !== undefined) return finish(error);
        door.turns.run(receiveBatch(door, request, bytes), (refusal, batch) => finish(refusal as Error | null, batch));
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
      const batch = acceptBatch(request);
      // Nearly all are in the chunk already.
      if (batch.body.entries === undefined) return submitBatch(door, buffers, request, reply, batch);
      return readEntries(door, buffers, request, reply, batch);
    });
  });
}

function* receiveBatch(door: DoorContext, request: FastifyRequest, bytes: Buffer): Work<ReceivedBatch> {
  if (isKeyed(request)) request.fingerprint = yield* fingerprintOfLarge(request, bytes);
  const pending = door.pendingRequests.beginBatch();
  const body = yield* readBatch(bytes, areLinesOf(request.headers['content-type']), pending.chunk);
  return { pending, body };
}

/** @throws CountingError invalid_body */
function acceptBatch(request: FastifyRequest): AcceptedBatch {
  const { pending, body } = request.body as Partial<ReceivedBatch>;
  if (pending === undefined || body === undefined) throw new CountingError('invalid_body', 'a batch needs a body');
  const { atomic: inBody } = body;
  const { atomic: inQuery } = request.query as schemas.BatchQuery;
  if (inBody !== undefined && inQuery !== undefined) {
    throw new CountingError('invalid_body', 'atomic is given twice, in the query and in the body');
  }
  pending.chunk.atomic = inBody ?? inQuery === 'true';
  // Parsed entries are large and must not be kept while waiting for the disk.
  request.body = undefined;
  return { pending, body, refusals: NONE };
}

/** Reads the remaining entries into the chunk, and continues. */
function readEntries(
  door: DoorContext,
  buffers: AnswerBuffers,
  request: FastifyRequest,
  reply: FastifyReply,
  batch: AcceptedBatch,
): Promise<FastifyReply> {
  const { pending, body } = batch;
  const { entries = [] } = body;
  const namesBytes = Math.min(body.bytes, entries.length * ENTRY_NAME_BYTES_MAX);
  if (pending.names.length < namesBytes) pending.names = new Uint8Array(namesBytes);
  const reader = new BatchReader(pending.chunk, pending.names);
  return new Promise((resolve, reject) => {
    door.turns.run(reader.read(entries, pending.chunk.atomic), (error, refusals) => {
      try {
        if (error !== undefined) throw error;
        submitBatch(door, buffers, request, reply, { ...batch, refusals: refusals ?? NONE });
        resolve(reply);
      } catch (refusal) {
        reject(refusal as CountingError);
      }
    });
  });
}

function submitBatch(
  door: DoorContext,
  buffers: AnswerBuffers,
  request: FastifyRequest,
  reply: FastifyReply,
  { pending, body: { count }, refusals }: AcceptedBatch,
): void {
  const { chunk } = pending;
  const { atomic } = chunk;
  chunk.key = batchKeyOf(request, chunk);
  const fitRoom = door.answers.reserve(reply, batchAnswerBytesMax(chunk, refusals));
  pending.tieSteps(reply, asStrings(request), function* () {
    if (atomic && sendCulprit(pending, reply, refusals)) return;
    const passing = commonPassing(chunk);
    if (passing !== undefined && refusals.size === 0) {
      sendProblem(reply, passing, undefined, { retryAfterMs: chunk.retryAfterMs || undefined });
      return;
    }
    const json = buffers.take();
    yield* writeBatchAnswer(pending, count, refusals, json);
    fitRoom(json.length);
    reply.raw.once('close', () => buffers.giveBack(json));
    pending.send(json.written);
  });
  if (chunk.count === 0 || (atomic && refusals.size > 0)) door.pendingRequests.answerAtOnce(pending);
  else door.pendingRequests.submit(pending);
}

/** The reason if all entries were refused for one temporary reason: the batch as a whole may then be retried. */
function commonPassing(chunk: Chunk): ErrorCode | undefined {
  const id = chunk.code[0];
  if (chunk.count === 0 || id === DONE) return undefined;
  const code = errorCode(id);
  const { httpStatus } = ERRORS[code];
  if (httpStatus !== 503 && httpStatus !== 429) return undefined;
  for (let i = 1; i < chunk.count; i++) if (chunk.code[i] !== id) return undefined;
  return code;
}

/** Answers an atomic batch with the problem of the refused entry; false: none was refused. */
function sendCulprit(
  { chunk, asStrings }: PendingRequest,
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
