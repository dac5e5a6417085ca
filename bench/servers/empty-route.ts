/**
 * What Fastify itself costs: a route with the path, the schema and the answer of `POST /v1/counters/{name}/increment`
 * and nothing behind it. A process of its own; prints `ready http=PORT`.
 */
import { fastify } from 'fastify';
import { AddAnswer, AddBody, answers, NameParams, NumbersQuery } from '../../src/gateway/http/schemas.ts';

const app = fastify();
const schema = { params: NameParams, querystring: NumbersQuery, body: AddBody, response: answers(AddAnswer) };
app.post('/v1/counters/:name/increment', { schema }, (request, reply) => {
  const { name } = request.params as NameParams;
  reply.send({ name, value: 1, applied: 1 });
});
const address = await app.listen({ host: '127.0.0.1', port: 0 });
process.stdout.write(`ready http=${new URL(address).port}\n`);
