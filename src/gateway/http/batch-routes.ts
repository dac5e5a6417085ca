/** `POST /v1/batch`: up to 10 000 increments, each with its own outcome, or all or nothing. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Chunk } from '../../counter/chunk.ts';
import { CountingError, DONE, ERRORS, errorCode } from '../../counter/errors.ts';
import { NAME_BYTES_MAX } from '../../counter/limits.ts';
import { batchAnswer } from './batch-answer.ts';
import { type BatchBody, BatchReader, type EntryRefusal, readBatch } from './batch-body.ts';
import { asStrings, type Door } from './door.ts';
import { batchKeyOf, fingerprintOf, isKeyed } from './idempotency.ts';
import { sendProblem } from './problems.ts';
import * as schemas from './schemas.ts';

/** A UTF-16 unit takes up to 3 bytes of UTF-8. */
const ENTRY_NAME_BYTES_MAX = 3 * NAME_BYTES_MAX;

/** Registers the route in a scope of its own, where bodies are read as batches. */
export async function batchRoutes(app: FastifyInstance, door: Door): Promise<void> {
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (request, stream, done) => {
      door.bodies.receive(stream, (error, bytes) => {
        if (error !== undefined) return done(error);
        if (isKeyed(request)) request.fingerprint = fingerprintOf(request, bytes);
        let body: BatchBody;
        try {
          body = readBatch(bytes, request.headers['content-type']);
        } catch (refusal) {
          return done(refusal as CountingError);
        }
        done(null, body);
      });
    });
    const schema = {
      tags: ['batch'],
      operationId: 'batch',
      querystring: schemas.BatchQuery,
      response: schemas.answers(schemas.BatchAnswer),
      summary: 'Many increments at once, each with its own outcome, or all or nothing.',
    };
    scope.post('/v1/batch', { schema, config: { isUpdate: true } }, (request, reply) => {
      submitBatch(door, request, reply);
    });
  });
}

function submitBatch(door: Door, request: FastifyRequest, reply: FastifyReply): void {
  const { entries, bytes, atomic: inBody } = request.body as Partial<BatchBody>;
  if (entries === undefined || bytes === undefined) throw new CountingError('invalid_body', 'a batch needs a body');
  const { atomic: inQuery } = request.query as schemas.BatchQuery;
  if (inBody !== undefined && inQuery !== undefined) {
    throw new CountingError('invalid_body', 'atomic is given twice, in the query and in the body');
  }
  const atomic = inBody ?? inQuery === 'true';
  const key = batchKeyOf(request);
  // Parsed entries are large: not to be kept while the disk is waited for.
  request.body = undefined;

  const exchange = door.exchanges.beginBatch(reply, asStrings(request));
  const namesBytes = Math.min(bytes, entries.length * ENTRY_NAME_BYTES_MAX);
  if (exchange.names.length < namesBytes) exchange.names = new Uint8Array(namesBytes);
  const { chunk } = exchange;
  const refusals = new BatchReader(chunk, exchange.names).read(entries, atomic);
  chunk.atomic = atomic;
  chunk.key = key;
  const count = entries.length;
  exchange.answer = () => {
    if (!atomic || !sendCulprit(reply, chunk, refusals)) exchange.send(batchAnswer(exchange, count, refusals));
  };
  if (chunk.count === 0 || (atomic && refusals.size > 0)) door.exchanges.answerAtOnce(exchange);
  else door.exchanges.submit(exchange);
}

/** Answers an atomic batch with the problem of the entry that was refused; false: none was. */
function sendCulprit(reply: FastifyReply, chunk: Chunk, refusals: ReadonlyMap<number, EntryRefusal>): boolean {
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
    sendProblem(reply, errorCode(id), undefined, { index: i, name, retryAfterMs: chunk.retryAfterMs || undefined });
    return true;
  }
  return false;
}
