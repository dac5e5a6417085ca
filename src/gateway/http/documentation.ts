/** The description of the door at `/openapi.json`, and a page to browse it at `/docs`. */
import { fileURLToPath } from 'node:url';
import helmet from '@fastify/helmet';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Answers } from './answers.ts';
import { PageFiles } from './page-files.ts';

/**
 * The page and the document. All assets come from this server. A browser cannot send a secret before it has the page,
 * so both are public; they contain nothing that is not in this package. Requests from the page carry the secret entered
 * under *Authorize*.
 */
export async function documentationRoutes(app: FastifyInstance, answers: Answers): Promise<void> {
  const json = madeOnce(() => JSON.stringify(app.swagger()));
  const yaml = madeOnce(() => app.swagger({ yaml: true }));
  const sendDocument = (_request: FastifyRequest, reply: FastifyReply): void => answers.sendJson(reply, json());
  app.get('/openapi.json', { schema: { hide: true }, config: { isOpen: true } }, sendDocument);
  const files = new PageFiles(fileURLToPath(new URL('./static', import.meta.resolve('@fastify/swagger-ui'))), answers);
  // The plugin would regenerate the document for each request, and open a file for each asset.
  const handlers: Readonly<Record<string, RouteOptions['handler']>> = {
    '/docs/json': sendDocument,
    '/docs/yaml': (_request, reply) => answers.sendBytes(reply, 'application/x-yaml', yaml()),
    '/docs/static/*': files.send,
  };
  await app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, isOpen: true };
      route.handler = handlers[route.url] ?? route.handler;
    });
    await scope.register(helmet, { contentSecurityPolicy: false, hsts: false });
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      theme: { title: 'Tallyd' },
      staticCSP: true,
      // Over plain http, by another name than localhost, a browser would load nothing of the page.
      transformStaticCSP: (policy) => policy.replace(/\s*upgrade-insecure-requests;?/, ''),
      uiConfig: { deepLinking: false },
    });
  });
}

function madeOnce(make: () => string): () => Buffer {
  let bytes: Buffer | undefined;
  return () => {
    bytes ??= Buffer.from(make());
    return bytes;
  };
}
