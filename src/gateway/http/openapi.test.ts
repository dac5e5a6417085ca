// The description of the door: it says what the door does, and what the page fills in may be executed.

import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDoor } from '../../../test/http/door.ts';

interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly required: boolean;
  readonly example?: unknown;
  readonly examples?: Record<string, { value: unknown }>;
}

interface Media {
  readonly schema: TSchema;
  readonly example?: unknown;
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { required: boolean; content: Record<string, Media> };
  readonly responses: Record<string, { content?: Record<string, { schema: TSchema }>; headers?: object }>;
}

interface OpenApi {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, TSchema> };
}

let door: TestDoor;
let document: OpenApi;
beforeAll(async () => {
  door = await TestDoor.open();
  document = JSON.parse(await door.text(200, 'GET', '/openapi.json')) as OpenApi;
});
afterAll(() => door.close());

function operations(): [path: string, method: string, operation: Operation][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, string, Operation] => [path, method, operation]),
  );
}

/** The schema with components in the place of references, and all objects taking no more than they name. */
function whole(schema: unknown): TSchema {
  const text = JSON.stringify(schema, (_, value) => {
    const name = /^#\/components\/schemas\/(\w+)$/.exec(value?.$ref ?? '')?.[1];
    const found = name === undefined ? value : document.components.schemas[name];
    return found?.type === 'object' ? { ...found, additionalProperties: false } : found;
  });
  return JSON.parse(text) as TSchema;
}

describe('the description', () => {
  it('is OpenAPI 3.1 in which every operation has a name of its own, and every schema is where it is referred to', () => {
    expect(document.openapi).toBe('3.1.0');
    const ids = operations().map(([, , { operationId }]) => operationId);
    for (const id of ids) expect(id).toMatch(/^[a-z]\w*$/i);
    expect(new Set(ids).size).toBe(ids.length);
    expect(Object.keys(document.components.schemas)).toEqual(
      expect.arrayContaining(['AddBody', 'AddAnswer', 'BatchEntry', 'Reading', 'Problem']),
    );
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name as string);
    }
  });

  it('says which bodies have to be sent', () => {
    const body = (path: string, method: string): unknown => document.paths[path]?.[method]?.requestBody;
    expect(body('/v1/counters/{name}/increment', 'post')).toMatchObject({ required: false });
    expect(body('/v1/counters/{name}', 'put')).toMatchObject({ required: true });
    expect(body('/v1/batch', 'post')).toMatchObject({ required: true });
    expect(body('/v1/counters/{name}', 'delete')).toBeUndefined();
  });

  it('says which headers a request and its answer may have', () => {
    const { get, head, put } = document.paths['/v1/counters/{name}'] ?? {};
    const headersOf = (operation?: Operation): string[] =>
      (operation?.parameters ?? []).filter((one) => one.in === 'header').map(({ name }) => name);
    expect(headersOf(get)).toEqual(['If-None-Match', 'tallyd-session']);
    expect(headersOf(put)).toEqual(['Idempotency-Key', 'If-Match', 'If-None-Match']);
    expect(Object.keys(head?.responses ?? {})).toEqual(['200', '304', 'default']);
    expect(get?.responses['304']?.headers).toHaveProperty('ETag');
    expect(put?.responses['200']?.headers).toHaveProperty('tallyd-session');
    for (const [, , { responses }] of operations()) expect(responses['default']?.headers).toHaveProperty('Retry-After');
  });

  it('is true: answers are what it says', async () => {
    await door.text(200, 'PUT', '/v1/counters/told', '{"value":5}');
    const calls: [string, string, string?][] = [
      ['POST', '/v1/counters/{name}/increment', '{"by":1}'],
      ['POST', '/v1/counters/{name}/decrement', '{"by":1,"ttl":100}'],
      ['GET', '/v1/counters/{name}'],
      ['HEAD', '/v1/counters/{name}'],
      ['PUT', '/v1/counters/{name}', '{"value":1}'],
      ['PUT', '/v1/counters/{name}/ttl', '{"ttl":9}'],
      ['GET', '/v1/counters/{name}/ttl'],
      ['GET', '/v1/counters'],
      ['POST', '/v1/batch', '[{"name":"told","id":"t"},{"name":"told","by":1.5},{"by":1},{"name":"told","floor":99}]'],
      ['POST', '/counter/increment'],
      ['POST', '/counter/decrement'],
      ['GET', '/counter/value'],
      ...['counter', 'likes', 'views'].flatMap((kind): [string, string, string?][] => [
        ['GET', `/v1/{post_id}/${kind}`],
        ['PUT', `/v1/{post_id}/${kind}`, '{"action":"increment"}'],
      ]),
      ['GET', '/livez'],
      ['GET', '/readyz'],
      ['GET', '/metrics'],
      ['GET', '/v1/info'],
      ['POST', '/v1/snapshot'],
      ['DELETE', '/v1/counters/{name}'],
    ];
    const left = new Set(operations().map(([path, method]) => `${method.toUpperCase()} ${path}`));
    for (const [method, path, body] of calls) {
      const operation = document.paths[path]?.[method.toLowerCase()];
      left.delete(`${method} ${path}`);
      const schema = operation?.responses['200']?.content?.['application/json']?.schema;
      for (const query of schema === undefined || path.endsWith('z') ? [''] : ['', '?numbers=string']) {
        const text = await door.text(200, method, path.replace(/\{\w+\}/, 'told') + query, body);
        if (schema !== undefined) expect(Compile(whole(schema)).Errors(JSON.parse(text))).toEqual([]);
      }
    }
    expect([...left]).toEqual([]);
    const problem = await door.send('POST', '/v1/counters/told/increment', '{"by":3,"ceiling":2,"ttl":9}');
    const { Problem } = document.components.schemas;
    expect(Compile(whole(Problem)).Errors(JSON.parse(problem.text))).toEqual([]);
  });
});

/**
 * What the page sends when a person executes an operation as it is filled in; undefined: it asks for a parameter first.
 */
function filledIn(path: string, { parameters = [], requestBody }: Operation): [string, string?, string?][] | undefined {
  let url = path;
  const query: string[] = [];
  for (const { in: place, name, required, example, examples } of parameters) {
    const value = example ?? Object.values(examples ?? {})[0]?.value;
    if (value === undefined && required) return undefined;
    if (value === undefined) continue;
    const text = encodeURIComponent(String(value));
    if (place === 'path') url = url.replace(`{${name}}`, text);
    else if (place === 'query') query.push(`${name}=${text}`);
    else throw new Error(`${path}: the header ${name} is filled in`);
  }
  if (query.length > 0) url += `?${query.join('&')}`;
  if (requestBody === undefined) return [[url]];
  return Object.entries(requestBody.content).map(([type, { example }]) => {
    // Without an example the page would fill in every field that the schema has.
    if (example === undefined) throw new Error(`${path}: the body ${type} has no example`);
    return [url, typeof example === 'string' ? example : JSON.stringify(example, null, 2), type];
  });
}

describe('every operation, executed as the page fills it in', () => {
  it('is done, and destroys, sets or bounds no counter', async () => {
    const examples = ['example:42', 'example:43', 'example:likes', 'example:views', 'example:counter', 'default'];
    for (const name of examples) await door.text(200, 'PUT', `/v1/counters/${name}`, '{"value":1000}');
    const asked: string[] = [];
    for (const [path, method, operation] of operations()) {
      const requests = filledIn(path, operation);
      if (requests === undefined) asked.push(`${method} ${path}`);
      for (const [url, body, type] of requests ?? []) {
        const headers = type === undefined ? {} : { 'content-type': type };
        await door.text(200, method.toUpperCase(), url, body, headers);
      }
    }
    expect(asked).toEqual(['put /v1/counters/{name}', 'delete /v1/counters/{name}', 'put /v1/counters/{name}/ttl']);
    for (const name of examples) {
      const { value, exists } = JSON.parse(await door.text(200, 'GET', `/v1/counters/${name}`)) as Record<
        string,
        number
      >;
      expect([name, exists, Math.abs((value ?? 0) - 1000) < 10]).toEqual([name, true, true]);
      expect(await door.text(200, 'GET', `/v1/counters/${name}/ttl`)).toContain('"ttl":null');
    }
  });
});

describe('the page', () => {
  it('has no foreign assets', async () => {
    const page = await door.send('GET', '/docs/');
    expect(page.text).toContain('<title>Tallyd</title>');
    expect(page.text).toContain('swagger-ui');
    expect(page.text).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(page.headers['content-security-policy']).toBeDefined();
    for (const [, path] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) {
      expect((await door.send('GET', new URL(path as string, 'http://x/docs/').pathname)).status).toBe(200);
    }
  });

  it('loads over plain http by any name', async () => {
    const { headers } = await door.send('GET', '/docs/');
    expect(headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    expect(headers).not.toHaveProperty('strict-transport-security');
  });
});
