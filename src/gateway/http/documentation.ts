/** The description of the door at `/openapi.json`, and a page to browse it at `/docs`. */
import helmet from '@fastify/helmet';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { sendJson } from './answers.ts';

/**
 * The page and the document. All assets come from this server. A browser cannot show a secret before it has the page, so both are open:
 * they say what anybody may read in this package. What the page sends carries the secret that is given under *Authorize*.
 */
export async function documentationRoutes(app: FastifyInstance): Promise<void> {
  let text: Buffer | undefined;
  app.get('/openapi.json', { schema: { hide: true }, config: { isOpen: true } }, (_request, reply) => {
    text ??= Buffer.from(JSON.stringify(app.swagger()));
    sendJson(reply, text);
  });
  await app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, isOpen: true };
    });
    await scope.register(helmet, { contentSecurityPolicy: false, hsts: false });
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: true,
      // Over plain http, by another name than localhost, a browser would load nothing of the page.
      transformStaticCSP: (policy) => policy.replace(/\s*upgrade-insecure-requests;?/, ''),
      uiConfig: { deepLinking: false },
    });
  });
}
