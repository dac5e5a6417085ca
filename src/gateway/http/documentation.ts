/** OpenAPI 3.1 at `/openapi.json`, made of the routes' schemas, and a page to browse it at `/docs`. */
import helmet from '@fastify/helmet';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { Type } from 'typebox';
import { sendJson } from './answers.ts';
import { BatchBody } from './schemas.ts';

const DESCRIPTION = `Exact, durable counters. A count is a signed 64-bit integer: in a request an integer literal or a
decimal string, in an answer an integer literal, or a string with \`?numbers=string\`. Errors are RFC 9457 problems with
stable codes. An update with an \`Idempotency-Key\` can be repeated safely.`;

const KEY =
  'Repeat the request with the same key and it counts once. 1 to 255 printable ASCII characters, best a UUIDv7.';
const CHUNK = 'Of an import: the id of this chunk, kept for good; the same chunk counts once, ever.';
const UpdateHeaders = Type.Object({ 'Idempotency-Key': Type.Optional(Type.String({ description: KEY })) });
const BatchHeaders = Type.Object({
  'Idempotency-Key': Type.Optional(Type.String({ description: KEY })),
  'Tallyd-Import-Chunk': Type.Optional(Type.String({ description: CHUNK })),
});

/** To be called before the routes are registered: it watches them come. */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Tallyd', version, description: DESCRIPTION, license: { name: 'Apache-2.0' } },
      tags: [
        { name: 'counters', description: 'One counter, or many by name or pattern.' },
        { name: 'batch', description: 'Many increments in one request.' },
        { name: 'simple', description: 'One counter, in the shape of a requirement document.' },
        { name: 'posts', description: 'Counts of a post, in the shape of a requirement document.' },
        { name: 'operations', description: 'State of the server.' },
      ],
      components: { securitySchemes: { secret: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { secret: [] }],
    },
    transform: ({ schema, url, route }) => ({
      schema: documented(schema ?? {}, url, route.config?.isUpdate === true),
      url,
    }),
    transformObject: (document) => ('openapiObject' in document ? withOptionalBodies(document.openapiObject) : {}),
  });
}

/** What a route takes, besides what Fastify checks. */
function documented(checked: FastifySchema, url: string, isUpdate: boolean): FastifySchema {
  const { body, ...rest } = checked;
  const schema = body === undefined || isEmpty(body) ? rest : checked;
  if (!isUpdate) return schema;
  if (url !== '/v1/batch') return { ...schema, headers: UpdateHeaders };
  const consumes = ['application/json', 'application/x-ndjson'];
  return { ...schema, headers: BatchHeaders, body: BatchBody, consumes };
}

function isEmpty(body: unknown): boolean {
  return Object.keys((body as { properties?: object }).properties ?? {}).length === 0;
}

interface Operation {
  readonly requestBody?: { required: boolean; readonly content: Record<string, { schema?: { required?: unknown } }> };
}

/** A body whose fields are all optional need not be sent; the plugin calls every body required. */
function withOptionalBodies<T extends { paths?: object }>(document: T): T {
  for (const path of Object.values(document.paths ?? {}) as Record<string, Operation>[]) {
    for (const { requestBody } of Object.values(path)) {
      const schemas = Object.values(requestBody?.content ?? {}).map(({ schema }) => schema ?? {});
      const isOptional = schemas.every((schema) => !('required' in schema || 'anyOf' in schema));
      if (requestBody !== undefined) requestBody.required = !isOptional;
    }
  }
  return document;
}

/** The page and the document. All assets come from this server. */
export async function documentationRoutes(app: FastifyInstance): Promise<void> {
  let text: string | undefined;
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => {
    text ??= JSON.stringify(app.swagger());
    sendJson(reply, text);
  });
  await app.register(async (scope) => {
    await scope.register(helmet, { contentSecurityPolicy: false, hsts: false });
    await scope.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, uiConfig: { deepLinking: false } });
  });
}
