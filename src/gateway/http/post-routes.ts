/**
 * The second shape that requirement documents ask for: likes, views and another count of a post. They are the
 * counters `{post_id}:likes`, `{post_id}:views` and `{post_id}:counter`, and are counters like any other.
 */
import compress from '@fastify/compress';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Op } from '../../counter/chunk.ts';
import { CountingError } from '../../counter/errors.ts';
import { asStrings, beginRead, type DoorContext } from './door-context.ts';
import { keyOf } from './idempotency.ts';
import { type PendingRequest, single } from './pending-requests.ts';
import * as schemas from './schemas.ts';

type OfPost = FastifyRequest<{ Params: schemas.PostParams }>;

const COUNTS = ['counter', 'likes', 'views'];

// A replayed update tells the original's time.
const answerUpdate = single((pending) => send(pending, pending.chunk.appliedAtMs));
const answerRead = single((pending) => send(pending, pending.chunk.updatedAt[0] * 1000));

/**
 * Registers the routes in a scope of their own, where even small answers are compressed, as the document shows them.
 */
export async function postRoutes(app: FastifyInstance, door: DoorContext): Promise<void> {
  await app.register(async (scope) => {
    await scope.register(compress, { threshold: 0, encodings: ['gzip'], globalDecompression: false });
    for (const kind of COUNTS) routesOf(scope, door, kind);
  });
}

function routesOf(app: FastifyInstance, door: DoorContext, kind: string): void {
  const common = {
    tags: ['posts'],
    params: schemas.PostParams,
    querystring: schemas.NumbersQuery,
    response: schemas.answers(schemas.PostAnswer),
  };
  const of = `${kind[0]?.toUpperCase()}${kind.slice(1)}`;
  const put = {
    ...common,
    operationId: `count${of}`,
    body: schemas.ActionBody,
    summary: `Add 1 to \`{post_id}:${kind}\`, or take it away.`,
  };
  app.put(`/v1/:post_id/${kind}`, { schema: put, config: { isUpdate: true } }, (request: OfPost, reply) => {
    const { action } = request.body as schemas.ActionBody;
    const pending = door.pendingRequests.begin(reply, answerUpdate, asStrings(request));
    pending.push(Op.add, counterOf(request, kind), action === 'increment' ? 1n : -1n);
    pending.chunk.key = keyOf(request);
    door.pendingRequests.submit(pending);
  });

  const get = { ...common, operationId: `read${of}`, summary: `Read \`{post_id}:${kind}\`.` };
  app.get(`/v1/:post_id/${kind}`, { schema: get, config: { isRead: true } }, (request: OfPost, reply) => {
    reply.header('cache-control', 'no-cache');
    const pending = beginRead(door, request, reply, answerRead);
    pending.push(Op.get, counterOf(request, kind));
    door.pendingRequests.submit(pending);
  });
}

function counterOf(request: OfPost, kind: string): string {
  const { post_id: post } = request.params;
  if (post === '') throw new CountingError('invalid_name', 'the post id is empty');
  return `${post}:${kind}`;
}

function send(pending: PendingRequest, updatedAtMs: number): void {
  const updatedAt = updatedAtMs === 0 ? 'null' : `"${new Date(updatedAtMs).toISOString().slice(0, 19)}Z"`;
  pending.send(`{"count":${pending.valueText(0)},"updated_at":${updatedAt}}`);
}
