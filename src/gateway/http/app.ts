/** The Fastify application: its options, its routes, and how bodies reach them. */

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import type { CountingError } from '../../counter/errors.ts';
import type { Log } from '../log.ts';
import type { Trail } from '../trail.ts';
import { batchRoutes } from './batch-routes.ts';
import type { Bodies } from './bodies.ts';
import { Connections } from './connections.ts';
import type { CorsRules } from './cors.ts';
import { counterRoutes } from './counter-routes.ts';
import { documentationRoutes } from './documentation.ts';
import type { DoorContext } from './door-context.ts';
import { HEADER_BYTES_MAX, type HttpLimits, SMALL_BODY_BYTES_MAX } from './door-limits.ts';
import { type Guard, NO_BODY } from './guard.ts';
import { fingerprintOf, isKeyed } from './idempotency.ts';
import { parseJson } from './json.ts';
import { manyRoutes } from './many-routes.ts';
import { watchMethods } from './methods.ts';
import { describeRoutes } from './openapi.ts';
import { operationRoutes } from './operations.ts';
import { PlainIncrement } from './plain-increment.ts';
import { postRoutes } from './post-routes.ts';
import { connectionProblem, refuseConnection, sendError, sendFrameworkError, sendProblem } from './problems.ts';
import { parseQuery } from './query-string.ts';
import { simpleRoutes } from './simple-routes.ts';
import { leaveTrail } from './trail.ts';
import { ttlRoutes } from './ttl-routes.ts';
import { validatorCompiler } from './validation.ts';

export interface AppOptions {
  readonly door: DoorContext;
  readonly guard: Guard;
  readonly limits: HttpLimits;
  readonly log: Log;
  readonly cors: CorsRules;
  readonly trail: Trail;
}

const CHECK_CONNECTIONS_MS = 5_000;

/** The application, and the reader of its connections. */
interface App {
  readonly app: FastifyInstance;
  readonly connections: Connections;
}

/** Builds the application; it does not listen yet. */
export async function buildApp(options: AppOptions): Promise<App> {
  const { door, guard, cors } = options;
  const { app, connections } = createApp(options);
  app.setErrorHandler((error, _request, reply) => sendError(reply, error, options.log));
  // The guard refuses unknown routes; this is for a missing file of the documentation.
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not_found'));
  app.setValidatorCompiler(validatorCompiler);
  // Answers are rendered by hand; response schemas are only for the documentation.
  app.setSerializerCompiler(() => JSON.stringify);
  app.decorateRequest('fingerprint', '');
  if (cors.isOn) await cors.register(app);
  app.addHook('onRequest', guard.onRequest);
  leaveTrail(app, options.trail);
  readJsonBodies(app, door.bodies);

  const refuseOtherMethods = watchMethods(app);
  await describeRoutes(app, door.version);
  counterRoutes(app, door);
  ttlRoutes(app, door);
  manyRoutes(app, door);
  await batchRoutes(app, door, options.limits.bodyBytesMax);
  simpleRoutes(app, door);
  await postRoutes(app, door);
  operationRoutes(app, door);
  await documentationRoutes(app, door.answers);
  refuseOtherMethods();
  await app.ready();
  return { app, connections };
}

function createApp({ door, guard, limits, log, cors, trail }: AppOptions): App {
  const app = fastify({
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    connectionTimeout: limits.silenceTimeoutMs,
    requestTimeout: limits.receiveTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    return503OnClosing: false,
    routerOptions: { querystringParser: parseQuery, maxParamLength: HEADER_BYTES_MAX },
    frameworkErrors: sendFrameworkError,
    clientErrorHandler: (error, socket) => endConnection(error, socket, connections),
    http: {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_CONNECTIONS_MS, limits.headersTimeoutMs),
      maxHeaderSize: HEADER_BYTES_MAX,
      // The guard answers this, in our words.
      requireHostHeader: false,
    },
  });
  // CORS headers depend on the request, and access must be logged: only Fastify does both.
  const plain = cors.isOn || trail.access !== undefined ? undefined : new PlainIncrement(guard);
  const { pendingRequests, turns } = door;
  const connections = new Connections(app.server, { pendingRequests, turns, limits, log, plain });
  // Expectations other than 100-continue may be ignored: the request is answered like any other.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  return { app, connections };
}

/** Any content type: `curl -d` sends JSON as a form, and a form is never what is meant. */
function readJsonBodies(app: FastifyInstance, bodies: Bodies): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request: FastifyRequest, stream: IncomingMessage, done) => {
    bodies.receive(stream, SMALL_BODY_BYTES_MAX, (error, bytes, release) => {
      release();
      if (error !== undefined) return done(error);
      if (isKeyed(request)) request.fingerprint = fingerprintOf(request, bytes);
      if (bytes.length === 0) return done(null, NO_BODY);
      let body: unknown;
      try {
        body = parseJson(bytes);
      } catch (refusal) {
        return done(refusal as CountingError);
      }
      done(null, body);
    });
  });
}

/** The input was not HTTP, or came too late. */
function endConnection(error: NodeJS.ErrnoException, socket: Socket, connections: Connections): void {
  if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
  else if (connections.isAnswered(socket)) socket.destroySoon();
  else refuseConnection(socket, connectionProblem(error));
}
