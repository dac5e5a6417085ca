/**
 * Who may come in: looked at before a body is read.
 *
 * Browsers send a form or `text/plain` to any address that a page names, without asking first. So an update that
 * carries an `Origin` must come from this server's own pages or from an origin that the configuration names. Where
 * there is no secret, "own" means an address or `localhost`, not any name: a page of an attacker whose name was
 * made to point here (DNS rebinding) would otherwise count as own.
 */
import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CountingError } from '../../counter/errors.ts';
import type { Secret } from '../auth/secret.ts';

/** What stands for a body that was not sent: every field in it is optional or missing. */
export const NO_BODY: Readonly<Record<string, never>> = Object.freeze({});

/** Headers of every answer. */
export const HEADERS_OF_ALL = { 'x-content-type-options': 'nosniff' } as const;

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const HOST = 'host';
const BEARER = /^bearer +(\S.*)$/i;

export interface GuardOptions {
  readonly secret: Secret | undefined;
  readonly corsOrigins: readonly string[];
}

export class Guard {
  readonly #secret: Secret | undefined;
  readonly #origins: ReadonlySet<string>;
  #isClosing = false;

  constructor(options: GuardOptions) {
    this.#secret = options.secret;
    this.#origins = new Set(options.corsOrigins);
  }

  /** From now on requests are told to go elsewhere, and connections end with their answer. */
  close(): void {
    this.#isClosing = true;
  }

  /** Fastify's `onRequest`. */
  readonly onRequest = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    request.body = NO_BODY;
    reply.headers(HEADERS_OF_ALL);
    done(this.#refusal(request, reply));
  };

  /** Whether a request that has a `Host`, and no `Origin`, may come in as long as the door is open. */
  admits(headers: Pick<FastifyRequest['headers'], 'authorization'>): boolean {
    return this.#secret === undefined || this.#checkSecret(this.#secret, headers) === undefined;
  }

  #refusal(request: FastifyRequest, reply: FastifyReply): CountingError | undefined {
    const { headers, raw } = request;
    const { isOpen = false, allow } = request.routeOptions.config;
    if (this.#isClosing) {
      reply.header('connection', 'close');
      if (!isOpen) return new CountingError('shutting_down');
    }
    if (headers.host === undefined && raw.httpVersion === '1.1') {
      return new CountingError('invalid_request', 'an HTTP/1.1 request needs a Host header');
    }
    // The parser keeps the first; what stands between may go by the other.
    if (hasTwoHosts(raw.rawHeaders)) return new CountingError('invalid_request', 'a request has one Host header');
    if (headers.origin !== undefined && !SAFE_METHODS.has(raw.method ?? '') && !this.#isWelcome(headers)) {
      return new CountingError('origin_refused');
    }
    const stranger = this.#secret && this.#checkSecret(this.#secret, headers);
    // Who does not know the secret gets an answer, and holds no connection.
    if (stranger !== undefined) reply.header('connection', 'close');
    if (stranger !== undefined && !isOpen) return stranger;
    // Said before the body is read, which may be anything.
    if (allow !== undefined) return methodRefusal(reply, allow);
    return request.is404 ? new CountingError('not_found') : undefined;
  }

  #checkSecret(secret: Secret, headers: Pick<FastifyRequest['headers'], 'authorization'>): CountingError | undefined {
    const token = BEARER.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) return new CountingError('unauthorized');
    // Node hands headers on as Latin-1: these are the bytes that were sent.
    return secret.matches(Buffer.from(token, 'latin1')) ? undefined : new CountingError('wrong_secret');
  }

  #isWelcome(headers: FastifyRequest['headers']): boolean {
    const { origin = '', host } = headers;
    if (this.#origins.has(origin) || this.#origins.has('*')) return true;
    const url = URL.parse(origin);
    if (url === null || url.host !== URL.parse(`${url.protocol}//${host}`)?.host) return false;
    const { hostname } = url;
    const isAddress = isIP(hostname) !== 0 || hostname.startsWith('[');
    return this.#secret !== undefined || isAddress || hostname === 'localhost' || hostname.endsWith('.localhost');
  }
}

/** @param fields names and values in turns, as they came. */
function hasTwoHosts(fields: readonly string[]): boolean {
  let hosts = 0;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i].length === HOST.length && fields[i].toLowerCase() === HOST) hosts++;
  }
  return hosts > 1;
}

function methodRefusal(reply: FastifyReply, allow: string): CountingError {
  reply.header('allow', allow);
  return new CountingError('method_not_allowed', `this route takes ${allow}; see /docs`);
}
