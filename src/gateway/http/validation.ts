/** Checks of bodies, queries and batch entries against their schemas, with complaints that name the field. */
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { CountingError, ERRORS, type ErrorCode } from '../../counter/errors.ts';
import { UNDECODABLE } from './query-string.ts';

export type RequestPart = 'body' | 'querystring' | 'params' | 'headers';

/** What is wrong with a value; undefined: nothing. */
export type Check = (value: unknown) => CountingError | undefined;

/** Fields whose values are counts: what is wrong with one has its own code. */
const COUNTS: ReadonlySet<string> = new Set(['by', 'value', 'floor', 'ceiling', 'at']);

/** 142 000 years, so that adding the present time stays exact. */
export const TTL_SECONDS_MAX = 4_503_599_627_370;

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
}

/** Compiles a schema once, at opening. */
export function compileCheck(schema: TSchema, part: RequestPart): Check {
  const compiled = Compile(schema);
  return (value) => (compiled.Check(value) ? undefined : complaint(compiled.Errors(value), schema, part));
}

/** For Fastify, which wants it in this shape. Never changes the value. */
export function validatorCompiler(route: { schema: unknown; httpPart?: string }): (value: unknown) => {
  error?: CountingError;
} {
  const check = compileCheck(route.schema as TSchema, (route.httpPart ?? 'body') as RequestPart);
  return (value) => {
    const error = check(value);
    return error === undefined ? {} : { error };
  };
}

/** A ttl that is no positive whole number of seconds, or too large. */
export function invalidTtl(): CountingError {
  return new CountingError('invalid_deadline', `ttl: a positive whole number of seconds, up to ${TTL_SECONDS_MAX}`);
}

/** A count that is none, or does not fit 64 bits. */
export function invalidCount(field: string): CountingError {
  return new CountingError('invalid_number', `${field}: ${ERRORS.invalid_number.message}`);
}

function complaint(errors: readonly SchemaError[], schema: TSchema, part: RequestPart): CountingError {
  const otherwise: ErrorCode = part === 'body' ? 'invalid_body' : 'invalid_query';
  const kind = part === 'body' ? 'field' : 'parameter';
  const unknown = errors.find(({ keyword }) => keyword === 'additionalProperties');
  if (unknown !== undefined) {
    const field = listed(unknown.params, 'additionalProperties');
    if (part !== 'body' && field === UNDECODABLE) {
      return new CountingError(otherwise, 'the query string is not valid percent-encoded UTF-8');
    }
    return new CountingError(otherwise, `there is no ${kind} "${field}" here; see /openapi.json`);
  }
  const missing = errors.find(({ keyword }) => keyword === 'required');
  if (missing !== undefined) {
    return new CountingError(otherwise, `the ${kind} "${listed(missing.params, 'requiredProperties')}" is missing`);
  }
  const error = errors[0];
  const field = error === undefined ? '' : fieldOf(error.instancePath);
  if (field === '') return new CountingError(otherwise, 'the body must be a JSON object');
  if (part === 'body' && COUNTS.has(field)) return invalidCount(field);
  if (part === 'body' && field === 'ttl') return invalidTtl();
  return new CountingError(
    otherwise,
    `${kind} "${field}": ${error === undefined ? 'not allowed' : demandOf(error, schema, field)}`,
  );
}

/** What the field takes. */
function demandOf({ keyword, params, message }: SchemaError, schema: TSchema, field: string): string {
  const { allowedValues } = params as { readonly allowedValues?: readonly unknown[] };
  if (allowedValues !== undefined) return `must be one of ${allowedValues.join(', ')}`;
  const { properties } = schema as {
    readonly properties?: Readonly<Record<string, { readonly description?: string }>>;
  };
  // The description says in words what a pattern means.
  return (keyword === 'pattern' ? properties?.[field]?.description : undefined) ?? message;
}

function fieldOf(path: string): string {
  return (path.split('/')[1] ?? '').replaceAll('~1', '/').replaceAll('~0', '~');
}

function listed(params: object, key: string): string {
  const names: unknown = (params as Record<string, unknown>)[key];
  return Array.isArray(names) ? String(names[0]).slice(0, 100) : '';
}
