/** Access and audit lines of HTTP requests. While both are off nothing is hooked in. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Trail } from '../trail.ts';

/** Requests that change counters otherwise than by counting, or administer. */
const AUDITED = new Set([
  'PUT /v1/counters/:name',
  'DELETE /v1/counters/:name',
  'PUT /v1/counters/:name/ttl',
  'POST /v1/snapshot',
]);
const PATH_LENGTH_MAX = 1_024;

export function leaveTrail(app: FastifyInstance, { access, audit }: Trail): void {
  if (access === undefined && audit === undefined) return;
  app.addHook('onResponse', (request, reply, done) => {
    const line = lineOf(request, reply);
    access?.(line, 'HTTP request');
    if (isAudited(request, reply)) audit?.(line, 'HTTP audit');
    done();
  });
}

function isAudited({ method, routeOptions }: FastifyRequest, { statusCode }: FastifyReply): boolean {
  return statusCode === 401 || statusCode === 403 || AUDITED.has(`${method} ${routeOptions.url}`);
}

/** The secret is in a header, so the path has none. */
function lineOf({ method, raw }: FastifyRequest, reply: FastifyReply): object {
  const { remoteAddress, remotePort } = raw.socket;
  return {
    client: `${remoteAddress}:${remotePort}`,
    method,
    path: (raw.url ?? '').slice(0, PATH_LENGTH_MAX),
    status: reply.statusCode,
    ms: Math.round(reply.elapsedTime),
  };
}
