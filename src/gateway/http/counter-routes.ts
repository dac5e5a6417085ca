/** One counter: increment, decrement, get, set, delete. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type CommandOptions, Flag, Op } from '../../counter/chunk.ts';
import { conditional, conditionOf, etagOf, hasTag } from './conditions.ts';
import { asStrings, beginRead, type DoorContext } from './door-context.ts';
import { keyOf } from './idempotency.ts';
import { amountOf, boundsOf } from './increment-fields.ts';
import { countOf, deadlineOf } from './integers.ts';
import { type Answer, type PendingRequest, single } from './pending-requests.ts';
import * as schemas from './schemas.ts';

type Named = FastifyRequest<{ Params: schemas.NameParams }>;

const tags = ['counters'];
const common = { tags, params: schemas.NameParams, querystring: schemas.NumbersQuery };
const config = { isUpdate: true, isConditional: true };
/** For destructive routes the documentation suggests no name. */
const typed = { ...common, params: schemas.TypedNameParams };

/** The answer to an increment or a decrement. */
export const answerAdd = single((pending) => {
  const value = `"value":${pending.valueText(0)}${pending.partField(0)}`;
  pending.send(`${nameField(pending)},${value},"applied":${pending.otherText(0)}}`);
});

const answerSet = single((pending) => {
  pending.send(`${nameField(pending)},"value":${pending.valueText(0)},"previous":${pending.otherText(0)}}`);
});

const answerDelete = single((pending) => {
  const deleted = pending.chunk.hasFlag(0, Flag.existed);
  pending.send(`${nameField(pending)},"deleted":${deleted},"previous":${pending.otherText(0)}}`);
});

const answerGet = (request: FastifyRequest, reply: FastifyReply): Answer =>
  single((pending) => {
    const exists = pending.chunk.hasFlag(0, Flag.existed);
    const value = `"value":${pending.valueText(0)}${pending.partField(0)}`;
    if (pending.chunk.hasFlag(0, Flag.partial)) {
      pending.send(`${nameField(pending)},${value},"exists":null${pending.asOfField}}`);
      return;
    }
    const etag = etagOf(exists, pending.chunk.valueAt(0), pending.chunk.asOfMs !== 0);
    reply.header('etag', etag).header('cache-control', 'no-cache');
    if (hasTag(request.headers['if-none-match'], etag)) reply.code(304).send();
    else pending.send(`${nameField(pending)},${value},"exists":${exists}${pending.asOfField}}`);
  });

/** Registers the routes of one counter. */
export function counterRoutes(app: FastifyInstance, door: DoorContext): void {
  addRoute(app, door, 'increment', 'Add to a counter; one that is absent begins at 0.');
  addRoute(app, door, 'decrement', 'Subtract from a counter; one that is absent begins at 0.');
  readRoutes(app, door);
  setRoute(app, door);
  deleteRoute(app, door);
}

function addRoute(app: FastifyInstance, door: DoorContext, verb: 'increment' | 'decrement', summary: string): void {
  const response = schemas.answers(schemas.AddAnswer);
  const schema = { ...common, operationId: verb, body: schemas.AddBody, response, summary };
  app.post(`/v1/counters/:name/${verb}`, { schema, config }, (request: Named, reply) => {
    const body = request.body as schemas.AddBody;
    const amount = amountOf(body.by, 'by', verb === 'decrement');
    submitIf(door, request, reply, answerAdd, Op.add, amount, boundsOf(body));
  });
}

function readRoutes(app: FastifyInstance, door: DoorContext): void {
  const querystring = schemas.ReadQuery;
  const get = {
    ...common,
    querystring,
    operationId: 'get',
    response: schemas.answers(schemas.Reading),
    summary: 'Read a counter; one that is absent reads 0.',
  };
  const reads = { isRead: true, isTagged: true, swagger: { exposeHeadRoute: true } };
  app.get('/v1/counters/:name', { schema: get, config: reads }, (request: Named, reply) => {
    const pending = beginRead(door, request, reply, answerGet(request, reply));
    pending.name = request.params.name;
    pending.push(Op.get, pending.name);
    door.pendingRequests.submit(pending);
  });
}

function setRoute(app: FastifyInstance, door: DoorContext): void {
  const schema = {
    ...typed,
    operationId: 'set',
    body: schemas.SetBody,
    response: schemas.answers(schemas.SetAnswer),
    summary: 'Set a counter, to 0 to reset it. Without `ttl` its deadline is removed.',
  };
  app.put('/v1/counters/:name', { schema, config }, (request: Named, reply) => {
    const { value, ttl } = request.body as schemas.SetBody;
    const options = ttl === undefined ? undefined : { deadline: deadlineOf(ttl) };
    submitIf(door, request, reply, answerSet, Op.set, countOf(value, 'value'), options);
  });
}

function deleteRoute(app: FastifyInstance, door: DoorContext): void {
  const response = schemas.answers(schemas.DeleteAnswer);
  const schema = { ...typed, operationId: 'delete', body: schemas.EmptyBody, response, summary: 'Delete a counter.' };
  app.delete('/v1/counters/:name', { schema, config }, (request: Named, reply) => {
    submitIf(door, request, reply, answerDelete, Op.delete);
  });
}

/** One command under the conditions of the request's headers. */
function submitIf(
  door: DoorContext,
  request: Named,
  reply: FastifyReply,
  answer: Answer,
  op: Op,
  amount?: bigint,
  options?: CommandOptions,
): void {
  const onlyIf = conditionOf(request);
  const all = onlyIf === undefined ? options : { ...options, onlyIf };
  submit(door, request, reply, conditional(onlyIf, answer), op, amount, all);
}

/** One command, with the request's idempotency key unless it is a read. */
export function submit(
  door: DoorContext,
  request: Named,
  reply: FastifyReply,
  answer: Answer,
  op: Op,
  amount?: bigint,
  options?: CommandOptions,
): void {
  const pending = door.pendingRequests.begin(reply, answer, asStrings(request));
  pending.name = request.params.name;
  pending.push(op, pending.name, amount, options);
  if (op === Op.deadline) pending.chunk.acceptsPartial = false;
  else pending.chunk.key = keyOf(request);
  door.pendingRequests.submit(pending);
}

/** The beginning of an answer. */
export function nameField(pending: PendingRequest): string {
  return `{"name":${JSON.stringify(pending.name)}`;
}
