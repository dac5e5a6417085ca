/** One counter: increment, decrement, get, set, delete. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type CommandOptions, Flag, Op } from '../../counter/chunk.ts';
import { amountOf, boundsOf } from './additions.ts';
import { asStrings, beginRead, type Door } from './door.ts';
import { type Answer, type Exchange, single } from './exchanges.ts';
import { keyOf } from './idempotency.ts';
import { countOf, deadlineOf } from './integers.ts';
import * as schemas from './schemas.ts';

type Named = FastifyRequest<{ Params: schemas.NameParams }>;

const tags = ['counters'];
const common = { tags, params: schemas.NameParams, querystring: schemas.NumbersQuery };
const config = { isUpdate: true };

/** The answer to an increment or a decrement. */
export const answerAdd = single((exchange) => {
  const value = `"value":${exchange.valueText(0)}${exchange.partField(0)}`;
  exchange.send(`${nameField(exchange)},${value},"applied":${exchange.otherText(0)}}`);
});

const answerSet = single((exchange) => {
  exchange.send(`${nameField(exchange)},"value":${exchange.valueText(0)},"previous":${exchange.otherText(0)}}`);
});

const answerDelete = single((exchange) => {
  const deleted = exchange.chunk.hasFlag(0, Flag.existed);
  exchange.send(`${nameField(exchange)},"deleted":${deleted},"previous":${exchange.otherText(0)}}`);
});

const answerGet = (request: FastifyRequest, reply: FastifyReply): Answer =>
  single((exchange) => {
    const exists = exchange.chunk.hasFlag(0, Flag.existed);
    const value = `"value":${exchange.valueText(0)}${exchange.partField(0)}`;
    if (exchange.chunk.hasFlag(0, Flag.partial)) {
      exchange.send(`${nameField(exchange)},${value},"exists":null${exchange.asOfField}}`);
      return;
    }
    const etag = exists ? `"${exchange.chunk.valueAt(0)}"` : '"absent"';
    reply.header('etag', etag).header('cache-control', 'no-cache');
    if (matches(request.headers['if-none-match'], etag)) reply.code(304).send();
    else exchange.send(`${nameField(exchange)},${value},"exists":${exists}${exchange.asOfField}}`);
  });

const answerHead = (reply: FastifyReply): Answer =>
  single((exchange) => {
    reply.code(exchange.chunk.hasFlag(0, Flag.existed) ? 200 : 404).send();
  });

/** Registers the routes of one counter. */
export function counterRoutes(app: FastifyInstance, door: Door): void {
  addRoute(app, door, 'increment', 'Add to a counter; one that is absent begins at 0.');
  addRoute(app, door, 'decrement', 'Subtract from a counter; one that is absent begins at 0.');
  readRoutes(app, door);
  setRoute(app, door);
  deleteRoute(app, door);
}

function addRoute(app: FastifyInstance, door: Door, verb: 'increment' | 'decrement', summary: string): void {
  const response = schemas.answers(schemas.AddAnswer);
  const schema = { ...common, operationId: verb, body: schemas.AddBody, response, summary };
  app.post(`/v1/counters/:name/${verb}`, { schema, config }, (request: Named, reply) => {
    const body = request.body as schemas.AddBody;
    const amount = amountOf(body.by, 'by', verb === 'decrement');
    submit(door, request, reply, answerAdd, Op.add, amount, boundsOf(body));
  });
}

function readRoutes(app: FastifyInstance, door: Door): void {
  const querystring = schemas.ReadQuery;
  // HEAD first: after GET Fastify would have made one of its own.
  const head = { ...common, querystring, operationId: 'exists', summary: 'Whether the counter exists: 200 or 404.' };
  app.head('/v1/counters/:name', { schema: head }, (request: Named, reply) => {
    read(door, request, reply, answerHead(reply), false);
  });
  const get = {
    ...common,
    querystring,
    operationId: 'get',
    response: schemas.answers(schemas.Reading),
    summary: 'Read a counter; one that is absent reads 0.',
  };
  app.get('/v1/counters/:name', { schema: get }, (request: Named, reply) => {
    read(door, request, reply, answerGet(request, reply), true);
  });
}

function setRoute(app: FastifyInstance, door: Door): void {
  const schema = {
    ...common,
    operationId: 'set',
    body: schemas.SetBody,
    response: schemas.answers(schemas.SetAnswer),
    summary: 'Set a counter, to 0 to reset it. Without `ttl` its deadline is removed.',
  };
  app.put('/v1/counters/:name', { schema, config }, (request: Named, reply) => {
    const { value, ttl } = request.body as schemas.SetBody;
    const options = ttl === undefined ? undefined : { deadline: deadlineOf(ttl) };
    submit(door, request, reply, answerSet, Op.set, countOf(value, 'value'), options);
  });
}

function deleteRoute(app: FastifyInstance, door: Door): void {
  const response = schemas.answers(schemas.DeleteAnswer);
  const schema = { ...common, operationId: 'delete', body: schemas.EmptyBody, response, summary: 'Delete a counter.' };
  app.delete('/v1/counters/:name', { schema, config }, (request: Named, reply) => {
    submit(door, request, reply, answerDelete, Op.delete);
  });
}

/** @param takesPart the answer can tell a part from the whole. */
function read(door: Door, request: Named, reply: FastifyReply, answer: Answer, takesPart: boolean): void {
  const exchange = beginRead(door, request, reply, answer);
  exchange.chunk.acceptsPartial = takesPart;
  exchange.name = request.params.name;
  exchange.push(Op.get, exchange.name);
  door.exchanges.submit(exchange);
}

/** One command, with the request's idempotency key unless it is a read. */
export function submit(
  door: Door,
  request: Named,
  reply: FastifyReply,
  answer: Answer,
  op: Op,
  amount?: bigint,
  options?: CommandOptions,
): void {
  const exchange = door.exchanges.begin(reply, answer, asStrings(request));
  exchange.name = request.params.name;
  exchange.push(op, exchange.name, amount, options);
  if (op === Op.deadline) exchange.chunk.acceptsPartial = false;
  else exchange.chunk.key = keyOf(request);
  door.exchanges.submit(exchange);
}

/** The beginning of an answer. */
export function nameField(exchange: Exchange): string {
  return `{"name":${JSON.stringify(exchange.name)}`;
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header === '*' || header.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag);
}
