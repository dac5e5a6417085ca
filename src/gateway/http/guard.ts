/**
 * Access control, checked before a body is read.
 *
 * Browsers send a form or `text/plain` to any address that a page names, without a preflight. So an update that carries
 * an `Origin` must come from this server's own pages or from an origin that the configuration names.
 *
 * Without a secret, an attacker's page could point its own name here (DNS rebinding) and would then count as the
 * server's own, for reads, too. No such page can have an address, `localhost` or a name that the configuration gives,
 * so a `Host` has to be one of these.
 *
 * A single-value header must appear once: Node joins most duplicates, and drops the second of others.
 */
import { isIP, isIPv6 } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CountingError } from '../../counter/errors.ts';
import { type Principal, principalOf, STRANGER, TRUSTED } from '../auth/principal.ts';
import type { Secret } from '../auth/secret.ts';
import type { CorsRules } from './cors.ts';
import { SESSION_HEADER } from './pending-requests.ts';

/** What stands for a body that was not sent: every field in it is optional or missing. */
export const NO_BODY: Readonly<Record<string, never>> = Object.freeze({});

/** Headers of every answer. */
export const HEADERS_OF_ALL = { 'x-content-type-options': 'nosniff' } as const;

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const BEARER = /^bearer +(\S.*)$/i;
/** Those that mean something here, but for lists such as `If-Match`. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  ...['authorization', 'content-encoding', 'content-type', 'host', 'idempotency-key', 'origin'],
  ...['tallyd-import-chunk', 'tallyd-import-after', 'tallyd-import-places', SESSION_HEADER],
]);
const HOST = /^(?:\[([^\]]+)\]|([^:]+))(?::\d*)?$/;

export interface GuardOptions {
  readonly secret: Secret | undefined;
  readonly cors: CorsRules;
  /** Names by which the server may be called where there is no secret; `*`: any. */
  readonly hosts: readonly string[];
}

type Headers = Pick<FastifyRequest['headers'], 'authorization' | 'host'>;

export class Guard {
  readonly #secret: Secret | undefined;
  readonly #cors: CorsRules;
  readonly #hosts: ReadonlySet<string>;
  #isClosing = false;

  constructor(options: GuardOptions) {
    this.#secret = options.secret;
    this.#cors = options.cors;
    this.#hosts = new Set(options.hosts);
  }

  /** From now on requests are refused as shutting down, and connections close with their answer. */
  close(): void {
    this.#isClosing = true;
  }

  /** Fastify's `onRequest`. */
  readonly onRequest = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    request.body = NO_BODY;
    reply.headers(HEADERS_OF_ALL);
    done(this.#refusal(request, reply));
  };

  /** The principal of a request with these headers, each of which appears once. */
  principalOf({ authorization, host }: Headers): Principal {
    if (this.#secret !== undefined) return principalOf(this.#secret, tokenOf(authorization));
    return host === undefined || this.#isHost(host) ? TRUSTED : STRANGER;
  }

  #refusal(request: FastifyRequest, reply: FastifyReply): CountingError | undefined {
    const { headers, raw } = request;
    const { config, schema } = request.routeOptions;
    const { isOpen = false, allow } = config;
    if (this.#isClosing) {
      reply.header('connection', 'close');
      if (!isOpen) return new CountingError('shutting_down');
    }
    const twice = doubledHeader(raw.rawHeaders, headers);
    if (twice !== undefined) return new CountingError('invalid_request', `the header ${twice} is there twice`);
    if (headers.host === undefined && raw.httpVersion === '1.1') {
      return new CountingError('invalid_request', 'an HTTP/1.1 request needs a Host header');
    }
    const foreign = this.#foreignPage(headers, raw.method ?? '');
    if (foreign !== undefined) return foreign;
    const isStranger = !this.principalOf(headers).may(schema?.operationId ?? '', nameOf(request));
    // An unauthenticated client gets an answer but keeps no connection.
    if (isStranger && this.#secret !== undefined) reply.header('connection', 'close');
    if (isStranger && !isOpen) return this.#strangerRefusal(headers);
    // Checked before the body, which may be anything, is read.
    if (allow !== undefined) return methodRefusal(reply, allow);
    return request.is404 ? new CountingError('not_found') : undefined;
  }

  /** What the request lacks: the secret or, if none is set, an allowed host name. */
  #strangerRefusal({ authorization }: Headers): CountingError {
    if (this.#secret === undefined) return new CountingError('host_refused');
    return new CountingError(tokenOf(authorization) === undefined ? 'unauthorized' : 'wrong_secret');
  }

  #isHost(host: string): boolean {
    const [whole, ipv6, name = ''] = HOST.exec(host.toLowerCase()) ?? [];
    if (whole === undefined) return false;
    if (ipv6 !== undefined ? isIPv6(ipv6) : isIP(name) !== 0) return true;
    return name === 'localhost' || name.endsWith('.localhost') || this.#hosts.has(name) || this.#hosts.has('*');
  }

  /** Why the page that sends this is not allowed to. */
  #foreignPage({ origin, host }: FastifyRequest['headers'], method: string): CountingError | undefined {
    if (origin === undefined) return undefined;
    const { methods } = this.#cors;
    if (this.#cors.isNamed(origin) || this.#cors.isForAll) {
      if (methods.includes(method) || method === 'OPTIONS' || isOwn(origin, host)) return undefined;
      return new CountingError(
        'origin_refused',
        `pages of other origins may use ${methods.join(', ')} here; name more in the option --cors-methods`,
      );
    }
    // Without CORS, a browser shows no answer to a page of another origin.
    return SAFE_METHODS.has(method) || isOwn(origin, host) ? undefined : new CountingError('origin_refused');
  }
}

/** What a request shows. Node hands headers on as Latin-1: these are the bytes that were sent. */
function tokenOf(authorization = ''): Buffer | undefined {
  const token = BEARER.exec(authorization)?.[1];
  return token === undefined ? undefined : Buffer.from(token, 'latin1');
}

/** The counter in the request's path. */
function nameOf({ params }: FastifyRequest): string | undefined {
  return (params as { readonly name?: string }).name;
}

/** Whether the page came from this server, as far as can be known. */
function isOwn(origin: string, host: string | undefined): boolean {
  const url = URL.parse(origin);
  return url !== null && url.host === URL.parse(`${url.protocol}//${host}`)?.host;
}

/** A header that must not appear twice, but does. */
function doubledHeader(raw: readonly string[], headers: FastifyRequest['headers']): string | undefined {
  if (raw.length === 2 * Object.keys(headers).length) return undefined;
  const seen = new Set<string>();
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase();
    if (seen.has(name) && SINGLE_HEADERS.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

function methodRefusal(reply: FastifyReply, allow: string): CountingError {
  reply.header('allow', allow);
  return new CountingError('method_not_allowed', `this route takes ${allow}; see /docs`);
}
