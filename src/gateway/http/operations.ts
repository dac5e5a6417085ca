/** The server's state, and the operations of administrators. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { asStrings, type DoorContext } from './door-context.ts';
import { EXPOSITION_TYPE, exposition } from './metrics.ts';
import { sendProblem } from './problems.ts';
import * as schemas from './schemas.ts';

const tags = ['operations'];
/** A large snapshot takes long, and its connection is silent meanwhile. */
const SNAPSHOT_SILENCE_MS = 3_600_000;

/** Registers `/livez`, `/readyz`, `/metrics`, `/v1/info` and `/v1/snapshot`. */
export function operationRoutes(app: FastifyInstance, door: DoorContext): void {
  const response = schemas.answers(schemas.StatusAnswer);
  const live = { tags, operationId: 'live', response, summary: 'Whether the process lives. Needs no secret.' };
  app.get('/livez', { schema: live, config: { isOpen: true } }, (_request, reply) => sendOk(door, reply));

  const summary = 'Whether updates are accepted: 200 or 503. Needs no secret.';
  const ready = { tags, operationId: 'ready', response, summary };
  app.get('/readyz', { schema: ready, config: { isOpen: true } }, (_request, reply) => {
    const { state } = door.service.info();
    if (state === 'open') sendOk(door, reply);
    else sendProblem(reply, state === 'failing' ? 'unavailable' : 'shutting_down');
  });

  const querystring = schemas.NumbersQuery;
  const info = {
    tags,
    operationId: 'info',
    querystring,
    response: schemas.answers(schemas.InfoAnswer),
    summary: 'State and size of the server.',
  };
  app.get('/v1/info', { schema: info }, (request, reply) => {
    reply.header('cache-control', 'no-cache');
    sendFields(door, reply, { version: door.version, ...door.service.info() }, asStrings(request));
  });

  metricsRoute(app, door);

  const snapshot = {
    tags,
    operationId: 'snapshot',
    querystring,
    body: schemas.EmptyBody,
    response: schemas.answers(schemas.SnapshotAnswer),
    summary: 'Write a snapshot and drop the journal that it replaces.',
  };
  app.post('/v1/snapshot', { schema: snapshot }, async (request, reply) => {
    request.raw.setTimeout(SNAPSHOT_SILENCE_MS);
    sendFields(door, reply, await door.service.snapshot(), asStrings(request));
    return reply;
  });
}

function metricsRoute(app: FastifyInstance, door: DoorContext): void {
  const schema = {
    tags,
    operationId: 'metrics',
    response: schemas.answers(Type.String(), 'text/plain'),
    summary: 'State and size of the server, as Prometheus scrapes it.',
  };
  app.get('/metrics', { schema }, async (_request, reply) => {
    const { service, clock, version } = door;
    const sinceMs = performance.now();
    await new Promise<void>((resolve) => clock.soon(resolve));
    const loopDelayMs = performance.now() - sinceMs;
    const facts = { version, info: service.info(), nowMs: clock.nowMs(), loopDelayMs, connections: door.connections() };
    reply.header('cache-control', 'no-cache').header('content-type', EXPOSITION_TYPE);
    return await exposition(facts);
  });
}

function sendOk(door: DoorContext, reply: FastifyReply): void {
  reply.header('cache-control', 'no-cache');
  door.answers.sendJson(reply, '{"status":"ok"}');
}

/** A flat object; its numbers, which may be larger than a double can tell, as literals or as strings. */
function sendFields(door: DoorContext, reply: FastifyReply, fields: object, asStrings: boolean): void {
  const members = Object.entries(fields).map(([name, value]) => {
    const isNumber = typeof value === 'number' || typeof value === 'bigint';
    const quote = asStrings ? '"' : '';
    const text = isNumber ? `${quote}${value}${quote}` : JSON.stringify(value ?? null);
    return `"${name}":${text}`;
  });
  door.answers.sendJson(reply, `{${members.join(',')}}`);
}
