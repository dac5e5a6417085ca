/** The shared context of the routes. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Consistency } from '../../counter/chunk.ts';
import type { CountingService } from '../../counter/service.ts';
import type { Clock } from '../../host/host.ts';
import type { Answers } from './answers.ts';
import type { Bodies } from './bodies.ts';
import { type Answer, type PendingRequest, type PendingRequests, SESSION_HEADER } from './pending-requests.ts';
import type { Turns } from './turns.ts';

export interface DoorContext {
  readonly service: CountingService;
  readonly clock: Clock;
  readonly pendingRequests: PendingRequests;
  readonly bodies: Bodies;
  readonly answers: Answers;
  readonly turns: Turns;
  readonly version: string;
  /** Open connections, by door. */
  connections(): Readonly<Record<string, number>>;
}

/** Whether the request asks for counts as strings. */
export function asStrings(request: FastifyRequest): boolean {
  return (request.query as { readonly numbers?: string }).numbers === 'string';
}

/** A pending request for a read: what it must have seen is said by the query and by the session of the caller. */
export function beginRead(
  door: DoorContext,
  request: FastifyRequest,
  reply: FastifyReply,
  answer: Answer,
): PendingRequest {
  const pending = door.pendingRequests.begin(reply, answer, asStrings(request));
  const { consistency } = request.query as { readonly consistency?: Consistency };
  const session = request.headers[SESSION_HEADER];
  if (consistency !== undefined) pending.chunk.consistency = consistency;
  if (typeof session === 'string') pending.chunk.session = session;
  return pending;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a request with an idempotency key and a body: see `idempotency.ts`. */
    fingerprint: string;
  }
  interface FastifyContextConfig {
    /** Answers without a secret, and while the server closes. */
    isOpen?: boolean;
    /** For the documentation. Takes an `Idempotency-Key`; or, as a batch, an import's chunk, too. */
    isUpdate?: boolean;
    isBatch?: boolean;
    /** Takes `If-Match` and `If-None-Match`. */
    isConditional?: boolean;
    /** Takes a session token. */
    isRead?: boolean;
    /** Says an entity tag. */
    isTagged?: boolean;
    /** No route: the methods that its path accepts. */
    allow?: string;
  }
}
