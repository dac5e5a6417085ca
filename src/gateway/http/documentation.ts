/** The description of the door at `/openapi.json`, and a page to browse it at `/docs`. */
import helmet from '@fastify/helmet';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { sendJson } from './answers.ts';

/** The page and the document. All assets come from this server. */
export async function documentationRoutes(app: FastifyInstance): Promise<void> {
  let text: Buffer | undefined;
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => {
    text ??= Buffer.from(JSON.stringify(app.swagger()));
    sendJson(reply, text);
  });
  await app.register(async (scope) => {
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
