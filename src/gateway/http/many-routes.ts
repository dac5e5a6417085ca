/** Many counters at once: reading those that are named, listing those that match. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Flag, Op } from '../../counter/chunk.ts';
import { CountingError, DONE, errorCode } from '../../counter/errors.ts';
import { PAGE_ENTRIES_MAX } from '../../counter/limits.ts';
import type { ScanEntry } from '../../counter/service.ts';
import { sendJson } from './answers.ts';
import { asStrings, beginRead, type Door } from './door.ts';
import type { Exchange } from './exchanges.ts';
import { sendProblem } from './problems.ts';
import * as schemas from './schemas.ts';

const PAGE_ENTRIES = 100;
/** With a pattern that few names match, one request looks at this many counters before it answers with few or none. */
const LOOKED_AT_MAX = 10_000;

/** Registers `GET /v1/counters`. */
export function manyRoutes(app: FastifyInstance, door: Door): void {
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

function readMany(door: Door, request: FastifyRequest, reply: FastifyReply, names: readonly string[]): void {
  const answer = (exchange: Exchange): void => {
    const { chunk } = exchange;
    const refused = names.findIndex((_, i) => chunk.code[i] !== DONE);
    if (refused >= 0) {
      sendProblem(reply, errorCode(chunk.code[refused]), undefined, { index: refused, name: names[refused] });
      return;
    }
    const counters = names.map((name, i) => {
      const exists = chunk.hasFlag(i, Flag.partial) ? null : chunk.hasFlag(i, Flag.existed);
      const value = `"value":${exchange.valueText(i)}${exchange.partField(i)}`;
      return `{"name":${JSON.stringify(name)},${value},"exists":${exists}}`;
    });
    exchange.send(`{"counters":[${counters.join(',')}]${exchange.asOfField}}`);
  };
  const exchange = beginRead(door, request, reply, answer);
  for (const name of names) exchange.push(Op.get, name);
  door.exchanges.submit(exchange);
}

async function list(
  door: Door,
  request: FastifyRequest,
  reply: FastifyReply,
  query: schemas.ReadManyQuery,
): Promise<FastifyReply> {
  const limit = Number(query.limit ?? PAGE_ENTRIES);
  if (limit > PAGE_ENTRIES_MAX) {
    throw new CountingError('invalid_query', `parameter "limit": 1 to ${PAGE_ENTRIES_MAX}`);
  }
  const entries: ScanEntry[] = [];
  let cursor = query.cursor || undefined;
  let lookedAt = 0;
  do {
    // Never more than the page can still take: a page of the service cannot be cut in two.
    const count = limit - entries.length;
    const page = await door.exchanges.scan({ cursor, match: query.match, count });
    entries.push(...page.entries);
    cursor = page.cursor;
    lookedAt += count;
  } while (cursor !== undefined && entries.length * 2 < limit && lookedAt < LOOKED_AT_MAX);
  const quote = asStrings(request) ? '"' : '';
  const counters = entries.map(
    ({ name, value }) => `{"name":${JSON.stringify(name)},"value":${quote}${value}${quote}}`,
  );
  const onlyHeld = door.service.info().store === undefined ? '' : ',"onlyHeld":true';
  const next = cursor === undefined ? 'null' : `"${cursor}"`;
  sendJson(reply, `{"counters":[${counters.join(',')}],"cursor":${next}${onlyHeld}}`);
  return reply;
}
