/**
 * The first of two shapes that requirement documents ask for, served to the letter: one counter named `default`,
 * or the one that `counter_id` names.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Op } from '../../counter/chunk.ts';
import { CountingError } from '../../counter/errors.ts';
import { asStrings, beginRead, type DoorContext } from './door-context.ts';
import { keyOf } from './idempotency.ts';
import { amountOf } from './increment-fields.ts';
import { single } from './pending-requests.ts';
import * as schemas from './schemas.ts';

const DEFAULT_COUNTER = 'default';
const tags = ['simple'];
const querystring = schemas.SimpleQuery;

const answerUpdate = single((pending) => pending.send(`{"success":true,"new_value":${pending.valueText(0)}}`));
const answerRead = single((pending) => pending.send(`{"current_value":${pending.valueText(0)}}`));

/** Registers `/counter/increment`, `/counter/decrement` and `/counter/value`. */
export function simpleRoutes(app: FastifyInstance, door: DoorContext): void {
  for (const verb of ['increment', 'decrement']) {
    const schema = {
      tags,
      operationId: `${verb}Simple`,
      querystring,
      body: schemas.SimpleBody,
      response: schemas.answers(schemas.SimpleUpdateAnswer),
      summary: `${verb === 'increment' ? 'Add to' : 'Subtract from'} one counter.`,
    };
    app.post(`/counter/${verb}`, { schema, config: { isUpdate: true } }, (request, reply) => {
      const body = request.body as schemas.SimpleBody;
      const amount = amountOf(body.value, 'value', verb === 'decrement');
      const pending = door.pendingRequests.begin(reply, answerUpdate, asStrings(request));
      pending.push(Op.add, counterOf(request, body), amount);
      pending.chunk.key = keyOf(request);
      door.pendingRequests.submit(pending);
    });
  }

  const response = schemas.answers(schemas.SimpleReadAnswer);
  const schema = { tags, operationId: 'getSimple', querystring, response, summary: 'Read one counter.' };
  app.get('/counter/value', { schema, config: { isRead: true } }, (request, reply) => {
    reply.header('cache-control', 'no-cache');
    const pending = beginRead(door, request, reply, answerRead);
    pending.push(Op.get, counterOf(request, {}));
    door.pendingRequests.submit(pending);
  });
}

function counterOf(request: FastifyRequest, body: schemas.SimpleBody): string {
  const { counter_id: inQuery } = request.query as schemas.SimpleQuery;
  if (inQuery !== undefined && body.counter_id !== undefined) {
    throw new CountingError('invalid_body', 'counter_id is given twice, in the query and in the body');
  }
  return inQuery ?? body.counter_id ?? DEFAULT_COUNTER;
}
