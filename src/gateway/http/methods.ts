/** An existing path with an unsupported method is answered 405 with `Allow`, not 404. */
import type { FastifyInstance, HTTPMethods } from 'fastify';
import { CountingError } from '../../counter/errors.ts';

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Watches the routes that are registered from now on.
 * @returns a function that registers, for each of them, what remains of the methods: to be called at the end.
 */
export function watchMethods(app: FastifyInstance): () => void {
  const taken = new Map<string, Set<string>>();
  let isWatching = true;
  app.addHook('onRoute', ({ url, method }) => {
    // The pages under /docs are a plugin's own.
    if (!isWatching || url.startsWith('/docs')) return;
    const methods = taken.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    taken.set(url, methods);
  });
  return () => {
    isWatching = false;
    for (const [url, methods] of taken) refuseOthers(app, url, methods);
  };
}

function refuseOthers(app: FastifyInstance, url: string, taken: ReadonlySet<string>): void {
  const method = METHODS.filter((one) => !taken.has(one));
  const allow = METHODS.filter((one) => taken.has(one)).join(', ');
  // The guard answers; Fastify requires a handler.
  const handler = (): void => {
    throw new CountingError('method_not_allowed');
  };
  app.route({ method, url, schema: { hide: true }, config: { allow }, handler });
}
