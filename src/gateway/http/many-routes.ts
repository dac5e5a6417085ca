/** Many counters at once: reading those that are named, listing those that match. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Flag, Op } from '../../counter/chunk.ts';
import { CountingError, DONE, errorCode } from '../../counter/errors.ts';
import { NAME_BYTES_MAX, PAGE_ENTRIES_MAX } from '../../counter/limits.ts';
import type { ScanPage, ScanRequest } from '../../counter/service.ts';
import { PIECE_BYTES } from './answers.ts';
import { asStrings, beginRead, type DoorContext } from './door-context.ts';
import { quotedBytesMax } from './json-writer.ts';
import type { PendingRequest } from './pending-requests.ts';
import { sendProblem } from './problems.ts';
import * as schemas from './schemas.ts';

const PAGE_ENTRIES = 100;
/** What is read in one turn of the event loop. */
const STEP_ENTRIES = 256;
/** What an entry of an answer takes at most: a name whose every byte is escaped, and counts. */
const ENTRY_BYTES_MAX = quotedBytesMax(NAME_BYTES_MAX) + 128;
/** The memory of a listing: two pieces, each up to one step too long. */
const LISTING_BYTES_MAX = 2 * (PIECE_BYTES + STEP_ENTRIES * ENTRY_BYTES_MAX);
/** With a pattern that few names match, one request scans this many counters before it answers with few or none. */
const LOOKED_AT_MAX = 10_000;

/** Registers `GET /v1/counters`. */
export function manyRoutes(app: FastifyInstance, door: DoorContext): void {
  const schema = {
    tags: ['counters'],
    operationId: 'list',
    querystring: schemas.ReadManyQuery,
    response: schemas.answers(schemas.ReadManyAnswer),
    summary: 'Read the counters that are named, in that order; or list all, or those that match, page by page.',
  };
  app.get('/v1/counters', { schema, config: { isRead: true } }, (request, reply) => {
    const query = request.query as schemas.ReadManyQuery;
    reply.header('cache-control', 'no-cache');
    if (query.name === undefined) return list(door, request, reply, query);
    if (query.match !== undefined || query.cursor !== undefined || query.limit !== undefined) {
      throw new CountingError('invalid_query', 'name= reads counters, match=, cursor= and limit= list them: not both');
    }
    readMany(door, request, reply, [query.name].flat());
    return undefined;
  });
}

function readMany(door: DoorContext, request: FastifyRequest, reply: FastifyReply, names: readonly string[]): void {
  const answer = (pending: PendingRequest): void => {
    const { chunk } = pending;
    const refused = names.findIndex((_, i) => chunk.code[i] !== DONE);
    if (refused >= 0) {
      sendProblem(reply, errorCode(chunk.code[refused]), undefined, { index: refused, name: names[refused] });
      return;
    }
    const counters = names.map((name, i) => {
      const exists = chunk.hasFlag(i, Flag.partial) ? null : chunk.hasFlag(i, Flag.existed);
      const value = `"value":${pending.valueText(i)}${pending.partField(i)}`;
      return `{"name":${JSON.stringify(name)},${value},"exists":${exists}}`;
    });
    pending.send(`{"counters":[${counters.join(',')}]${pending.asOfField}}`);
  };
  const pending = beginRead(door, request, reply, answer);
  for (const name of names) pending.push(Op.get, name);
  door.answers.reserve(reply, names.length * ENTRY_BYTES_MAX);
  door.pendingRequests.submit(pending);
}

async function list(
  door: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  query: schemas.ReadManyQuery,
): Promise<FastifyReply> {
  const limit = Number(query.limit ?? PAGE_ENTRIES);
  if (limit > PAGE_ENTRIES_MAX) {
    throw new CountingError('invalid_query', `parameter "limit": 1 to ${PAGE_ENTRIES_MAX}`);
  }
  const pieces = listing(door, query, limit, asStrings(request));
  const first = await pieces.next();
  if (first.done === true) {
    door.answers.sendJson(reply, first.value);
  } else {
    door.answers.reserve(reply, LISTING_BYTES_MAX);
    // Only the headers are requested: nothing more is read.
    door.answers.streamJson(reply, request.method === 'HEAD' ? nothing() : resumed(first.value, pieces));
  }
  return reply;
}

/**
 * The text of a listing, as it is read, step by step; what is returned is the end of it.
 * @throws CountingError of the service in the first step. A later error ends the page early, with a cursor to continue.
 */
async function* listing(
  door: DoorContext,
  { match, cursor: from }: schemas.ReadManyQuery,
  limit: number,
  asStrings: boolean,
): AsyncGenerator<string, string> {
  const quote = asStrings ? '"' : '';
  let text = '{"counters":[';
  let cursor = from || undefined;
  let room = limit;
  for (let lookedAt = 0; ; ) {
    // Never more than the page can still take: a page of the service cannot be cut in two.
    const count = Math.min(room, STEP_ENTRIES);
    const page = await nextPage(door, { cursor, match, count }, lookedAt === 0);
    for (const { name, value } of page.entries) {
      text += `${room === limit ? '' : ','}{"name":${JSON.stringify(name)},"value":${quote}${value}${quote}}`;
      room--;
    }
    cursor = page.cursor;
    lookedAt += count;
    // If few match, filling the last places is not worth a step each.
    const isFull = room === 0 || (page.entries.length < count && room * 2 <= Math.min(limit, STEP_ENTRIES));
    if (cursor === undefined || page.isLast || isFull || lookedAt >= LOOKED_AT_MAX) break;
    if (text.length > PIECE_BYTES) {
      yield text;
      text = '';
    }
    await door.turns.next();
  }
  const onlyHeld = door.service.info().store === undefined ? '' : ',"onlyHeld":true';
  const next = cursor === undefined ? 'null' : `"${cursor}"`;
  return `${text}],"cursor":${next}${onlyHeld}}`;
}

/** The next page or, if it cannot be read now, an empty last one. */
async function nextPage(
  door: DoorContext,
  request: ScanRequest,
  isFirst: boolean,
): Promise<ScanPage & { readonly isLast: boolean }> {
  try {
    return { ...(await door.pendingRequests.scan(request)), isLast: false };
  } catch (error) {
    if (isFirst || !(error instanceof CountingError)) throw error;
    return { entries: [], cursor: request.cursor, isLast: true };
  }
}

async function* nothing(): AsyncGenerator<string> {}

async function* resumed(first: string, rest: AsyncGenerator<string, string>): AsyncGenerator<string> {
  yield first;
  yield yield* rest;
}
