/** How long a counter has to live. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type CommandOptions, Flag, Op } from '../../counter/chunk.ts';
import { nameField, submit } from './counter-routes.ts';
import type { DoorContext } from './door-context.ts';
import { deadlineOf } from './integers.ts';
import { type PendingRequest, single } from './pending-requests.ts';
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
export function ttlRoutes(app: FastifyInstance, door: DoorContext): void {
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
    const answer = single((pending) => send(pending, seconds));
    submit(door, request, reply, answer, Op.expire, 0n, options);
  });

  const get = { ...common, operationId: 'getTtl', summary: 'How long a counter has to live.' };
  app.get('/v1/counters/:name/ttl', { schema: get }, (request: Named, reply) => {
    submit(
      door,
      request,
      reply,
      single((pending) => send(pending, secondsLeft(pending))),
      Op.deadline,
    );
  });
}

function send(pending: PendingRequest, seconds: number | null): void {
  const exists = pending.chunk.hasFlag(0, Flag.existed);
  pending.send(`${nameField(pending)},"ttl":${exists ? seconds : null},"exists":${exists}}`);
}

/** Rounded up: a counter that is still there has at least a second. */
function secondsLeft(pending: PendingRequest): number | null {
  const deadlineMs = Number(pending.chunk.valueAt(0));
  return deadlineMs < 0 ? null : Math.max(1, Math.ceil((deadlineMs - pending.chunk.appliedAtMs) / 1000));
}
