/**
 * What pages of other origins may do. Those that are named may send credentials and see the answers, as `sendBeacon`
 * with JSON and `fetch` with `credentials: 'include'` need it; where all origins may call, none may: behind a proxy
 * that knows people by cookies, any page could else count in their names.
 */
import cors from '@fastify/cors';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SESSION_HEADER } from './pending-requests.ts';

/** What pages of other origins may use unless the configuration says otherwise: they read and count. */
export const CORS_METHODS = ['GET', 'HEAD', 'POST'] as const;

export interface CorsOptions {
  /** Origins whose pages may call this server, such as `https://example.org`; `*`: all. */
  readonly origins?: readonly string[] | undefined;
  readonly methods?: readonly string[] | undefined;
}

export class CorsRules {
  readonly methods: readonly string[];
  readonly isForAll: boolean;
  readonly #named: readonly string[];

  constructor({ origins = [], methods = CORS_METHODS }: CorsOptions) {
    this.methods = methods;
    this.isForAll = origins.includes('*');
    this.#named = origins.filter((origin) => origin !== '*');
  }

  /** Whether any page of another origin may call. */
  get isOn(): boolean {
    return this.isForAll || this.#named.length > 0;
  }

  isNamed(origin: string): boolean {
    return this.#named.includes(origin);
  }

  /** Answers preflights, and tells browsers what pages may see. Call before other hooks are added. */
  async register(app: FastifyInstance): Promise<void> {
    const common = {
      methods: [...this.methods],
      exposedHeaders: ['etag', 'idempotency-replayed', 'retry-after', SESSION_HEADER],
      maxAge: 600,
    };
    await app.register(cors, () => (request: FastifyRequest, done: (error: null, options: object) => void) => {
      const { origin, 'access-control-request-method': method } = request.headers;
      const isNamed = origin !== undefined && this.isNamed(origin);
      done(null, {
        ...common,
        origin: this.isForAll && !isNamed ? '*' : [...this.#named],
        credentials: isNamed,
        // An OPTIONS without these asks for something else.
        preflight: origin !== undefined && method !== undefined,
      });
    });
  }
}
