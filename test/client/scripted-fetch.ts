/** A fetch with scripted answers, for tests of the client. */
import {
  type ClientOptions,
  type Fetch,
  type FetchInit,
  type FetchResponse,
  RefusedError,
  TallydClient,
  UnknownOutcomeError,
} from '../../src/client/client.ts';

export interface Sent extends FetchInit {
  readonly url: string;
}

export type Reply = FetchResponse | Error;

/** A fetch that gives the replies in turn, the last one for ever, and remembers what was sent. */
export function scripted(...replies: (Reply | (() => Reply))[]): { fetch: Fetch; sent: Sent[] } {
  const sent: Sent[] = [];
  const fetch: Fetch = async (url, init) => {
    const next = replies[Math.min(sent.length, replies.length - 1)];
    sent.push({ url, ...init });
    const reply = typeof next === 'function' ? next() : next;
    if (reply instanceof Error) throw reply;
    if (reply === undefined) throw new Error('no reply was scripted');
    return reply;
  };
  return { fetch, sent };
}

export function reply(status: number, body: unknown, headers: Record<string, string> = {}): FetchResponse {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { status, headers: { get: (name) => headers[name] ?? null }, text: async () => text };
}

export const done = reply(200, { name: 'a', value: '5', applied: '1' });
export const problem = (status: number, code: string, headers = {}, more = {}) =>
  reply(status, { status, code, detail: `about ${code}`, ...more }, headers);
export const broken = () =>
  new TypeError('fetch failed', { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) });
export const notConnected = () =>
  new TypeError('fetch failed', { cause: Object.assign(new Error('refused'), { syscall: 'connect' }) });

export function clientOf(fetch: Fetch, options: ClientOptions = {}): TallydClient {
  return new TallydClient({ url: 'http://test', fetch, timeoutMs: 500, ...options });
}

export async function failureOf(call: Promise<unknown>): Promise<RefusedError | UnknownOutcomeError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof RefusedError || outcome instanceof UnknownOutcomeError) return outcome;
  throw new Error('expected a refused or unknown outcome', { cause: outcome });
}
