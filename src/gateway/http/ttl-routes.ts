/** How long a counter has to live. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type CommandOptions, Flag, Op } from '../../counter/chunk.ts';
import { nameField, submit } from './counter-routes.ts';
import type { Door } from './door.ts';
import { type Exchange, single } from './exchanges.ts';
import { deadlineOf } from './integers.ts';
import * as schemas from './schemas.ts';

type Named = FastifyRequest<{ Params: schemas.NameParams }>;

const PERSIST: CommandOptions = { deadline: { kind: 'persist' } };
const common = {
  tags: ['counters'],
  params: schemas.NameParams,
  querystring: schemas.NumbersQuery,
  response: schemas.answers(schemas.TtlAnswer),
};

/** Registers the routes of a counter's time to live. */
export function ttlRoutes(app: FastifyInstance, door: Door): void {
  const put = {
    ...common,
    params: schemas.TypedNameParams,
    operationId: 'setTtl',
    body: schemas.TtlBody,
    summary: 'Let a counter expire, or not.',
  };
  app.put('/v1/counters/:name/ttl', { schema: put, config: { isUpdate: true } }, (request: Named, reply) => {
    const { ttl } = request.body as schemas.TtlBody;
    const options = ttl === null ? PERSIST : { deadline: deadlineOf(ttl) };
    const seconds = ttl === null ? null : Number(ttl);
    const answer = single((exchange) => send(exchange, seconds));
    submit(door, request, reply, answer, Op.expire, 0n, options);
  });

  const get = { ...common, operationId: 'getTtl', summary: 'How long a counter has to live.' };
  app.get('/v1/counters/:name/ttl', { schema: get }, (request: Named, reply) => {
    submit(
      door,
      request,
      reply,
      single((exchange) => send(exchange, secondsLeft(exchange))),
      Op.deadline,
    );
  });
}

function send(exchange: Exchange, seconds: number | null): void {
  const exists = exchange.chunk.hasFlag(0, Flag.existed);
  exchange.send(`${nameField(exchange)},"ttl":${exists ? seconds : null},"exists":${exists}}`);
}

/** Rounded up: a counter that is still there has at least a second. */
function secondsLeft(exchange: Exchange): number | null {
  const deadlineMs = Number(exchange.chunk.valueAt(0));
  return deadlineMs < 0 ? null : Math.max(1, Math.ceil((deadlineMs - exchange.chunk.appliedAtMs) / 1000));
}
