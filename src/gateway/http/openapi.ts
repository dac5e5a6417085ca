/**
 * The door described as OpenAPI 3.1, made of the routes' schemas. A schema with a title becomes a component of that
 * name.
 *
 * Every example must be safe to execute: the page at `/docs` fills it in and sends it to the server with the real
 * counters. So a body has an example of its own (of its fields the page would send all, with bounds and a deadline),
 * and where a request sets, deletes or lets expire, the counter's name has to be typed.
 */
import swagger from '@fastify/swagger';
import type { FastifyContextConfig, FastifyInstance, FastifySchema } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { SESSION_HEADER } from './pending-requests.ts';
import { BatchBody, BatchLines } from './schemas.ts';

const DESCRIPTION = `Exact, durable counters. A count is a signed 64-bit integer: in a request an integer literal or a
decimal string, in an answer an integer literal, or a string with \`?numbers=string\`. Errors are RFC 9457 problems with
stable codes. An update with an \`Idempotency-Key\` can be repeated safely.`;

/** An optional header of a request. */
function header(description: string): TSchema {
  return Type.Optional(Type.String({ description }));
}

const KEY = {
  'Idempotency-Key': header(
    'Repeat the request with the same key and it counts once. 1 to 255 printable ASCII characters, best a UUIDv7.',
  ),
};
const CHUNK = {
  'Tallyd-Import-Chunk': header('Of an import: the id of this chunk, kept for good; the same chunk counts once, ever.'),
  'Tallyd-Import-After': header('Of an import: the id of all content before the chunk; none for the first.'),
  'Tallyd-Import-Places': header(
    'Of an import: ids of the content through places in and after the chunk, by length; refused as `import_overlaps` if one is known.',
  ),
};
const CONDITIONS = {
  'If-Match': header('Update only if the counter has one of these entity tags; `*`: if it exists. Otherwise 412.'),
  'If-None-Match': header('Update only if the counter has none of these; `*`: if it is absent. Otherwise 412.'),
};
const FRESHNESS = { 'If-None-Match': header('Answer 304 if the counter still has this entity tag.') };
const SESSION = {
  [SESSION_HEADER]: header('With a store: the token of an earlier answer, whose update the read has to see.'),
};

const SAID_OF_UPDATES = {
  'Idempotency-Replayed': { type: 'string', description: '`true`: an earlier request with this key was applied.' },
  [SESSION_HEADER]: { type: 'string', description: 'With a store: for the reads that have to see this update.' },
};
const SAID_OF_READS = {
  ETag: { type: 'string', description: 'The count in quotes, `"absent"` where there is no such counter.' },
};
const NOT_MODIFIED = { type: 'null', description: 'The counter still has the entity tag.', headers: SAID_OF_READS };

/** To be called before the routes are registered: it watches them come. */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Tallyd',
        version,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This server.' }],
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
      schema: documented(schema ?? {}, route.config ?? {}, [route.method].flat().includes('HEAD')),
      url,
    }),
    transformObject: (document) => ('openapiObject' in document ? finished(document.openapiObject) : {}),
  });
}

/** A route's inputs and answers, besides what Fastify checks. */
function documented(checked: FastifySchema, config: FastifyContextConfig, isHead: boolean): FastifySchema {
  const { body, response, operationId = '', ...rest } = checked;
  const { isOpen, isUpdate, isBatch, isConditional, isRead, isTagged } = config;
  const said = (response ?? {}) as Record<string, object>;
  const headers = {
    ...(isUpdate && KEY),
    ...(isBatch && CHUNK),
    ...(isConditional && CONDITIONS),
    ...(isTagged && FRESHNESS),
    ...(isRead && SESSION),
  };
  return {
    ...rest,
    operationId: operationId.replace('-head', 'Head'),
    ...(isOpen && { security: [] }),
    ...(Object.keys(headers).length > 0 && { headers: Type.Object(headers) }),
    ...(isBatch ? { body: BATCH } : !isEmpty(body) && { body }),
    response: {
      ...said,
      200: {
        ...(isHead ? { type: 'null', description: 'Done; what GET would say of it is in the headers.' } : said['200']),
        ...((isUpdate || isTagged) && {
          headers: { ...(isUpdate && SAID_OF_UPDATES), ...(isTagged && SAID_OF_READS) },
        }),
      },
      ...(isTagged && { 304: NOT_MODIFIED }),
    },
  };
}

const BATCH = {
  content: { 'application/json': { schema: BatchBody }, 'application/x-ndjson': { schema: BatchLines } },
};

function isEmpty(body: unknown): boolean {
  return body === undefined || Object.keys((body as { properties?: object }).properties ?? {}).length === 0;
}

interface Operation {
  readonly requestBody?: { required: boolean; readonly content: Record<string, { schema?: { required?: unknown } }> };
}

interface Document {
  paths?: object;
  components?: { schemas?: Record<string, unknown> };
}

function finished<T extends object>(document: T): T {
  const { paths = {}, components = {} } = document as Document;
  for (const path of Object.values(paths) as Record<string, Operation>[]) Object.values(path).forEach(relaxBody);
  const schemas: Record<string, unknown> = {};
  nameSchemas(paths, schemas);
  return { ...document, paths, components: { ...components, schemas } };
}

/** A body whose fields are all optional may be omitted; the plugin marks every body as required. */
function relaxBody({ requestBody }: Operation): void {
  if (requestBody === undefined) return;
  const schemas = Object.values(requestBody.content).map(({ schema }) => schema ?? {});
  requestBody.required = !schemas.every((schema) => !('required' in schema || 'anyOf' in schema));
}

/** Moves the schemas below `node` that have a title to `schemas`, and refers to them. */
function nameSchemas(node: object, schemas: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(node) as [string, unknown][]) {
    if (typeof value !== 'object' || value === null) continue;
    nameSchemas(value, schemas);
    const { title, ...schema } = value as { title?: unknown };
    if (typeof title !== 'string') continue;
    schemas[title] = schema;
    (node as Record<string, unknown>)[key] = { $ref: `#/components/schemas/${title}` };
  }
}
