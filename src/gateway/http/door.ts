/** What the routes work with. */
import type { FastifyRequest } from 'fastify';
import type { CountingService } from '../../counter/service.ts';
import type { Clock } from '../../host/host.ts';
import type { Bodies } from './bodies.ts';
import type { Exchanges } from './exchanges.ts';

export interface Door {
  readonly service: CountingService;
  readonly clock: Clock;
  readonly exchanges: Exchanges;
  readonly bodies: Bodies;
  readonly version: string;
}

/** Whether counts in the answer are asked for as strings. */
export function asStrings(request: FastifyRequest): boolean {
  return (request.query as { readonly numbers?: string }).numbers === 'string';
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a request with an idempotency key and a body: see `idempotency.ts`. */
    fingerprint: string;
  }
  interface FastifyContextConfig {
    /** Answers without a secret, and while the server closes. */
    isOpen?: boolean;
    /** Takes an `Idempotency-Key`. For the documentation. */
    isUpdate?: boolean;
    /** No route: the methods that its path does take. */
    allow?: string;
  }
}
