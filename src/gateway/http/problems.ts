/**
 * Errors on the wire: RFC 9457 problem details, one for every code of the catalogue. What Fastify and Node report
 * themselves (no such route, no valid URL, no valid HTTP) is told in the same form. Never a stack trace.
 */
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Standing } from '../../counter/chunk.ts';
import { CountingError, ERRORS, type ErrorCode } from '../../counter/errors.ts';
import type { Log } from '../log.ts';
import { standingFields } from './integers.ts';
import type { Reply } from './reply.ts';

export const PROBLEM_TYPE = 'application/problem+json';
/** As Fastify would complete it. */
const PROBLEM_TYPE_UTF8 = `${PROBLEM_TYPE}; charset=utf-8`;
const LINGER_MS = 1_000;

/** What only some problems tell. */
export interface ProblemExtras {
  readonly retryAfterMs?: number | undefined;
  /** Of an atomic batch: the entry that was refused, and its counter. */
  readonly index?: number | undefined;
  readonly name?: string | undefined;
  /** The service's clock, Unix ms: of an idempotency key that was refused for the time in it. */
  readonly nowMs?: number | undefined;
  /** Of an import's chunk that overlaps: the id through which it was imported. */
  readonly overlap?: string | undefined;
  /** Of a refusal by a bound: the counter as it stays. */
  readonly standing?: Standing | undefined;
  /** Counts as strings. */
  readonly asStrings?: boolean | undefined;
}

/** The body of a problem. */
export function problemText(code: ErrorCode, detail?: string, extras?: ProblemExtras): string {
  const { httpStatus, outcome, message } = ERRORS[code];
  const text = JSON.stringify({
    type: `urn:tallyd:error:${code}`,
    title: code.replaceAll('_', ' '),
    status: httpStatus,
    code,
    outcome,
    detail: detail ?? message,
    index: extras?.index,
    name: extras?.name,
    overlap: extras?.overlap,
    now: extras?.nowMs,
  });
  return `${text.slice(0, -1)}${standingFields(extras?.standing, extras?.asStrings === true)}}`;
}

/** Answers with a problem. */
export function sendProblem(reply: Reply, code: ErrorCode, detail?: string, extras?: ProblemExtras): void {
  const status = ERRORS[code].httpStatus;
  if (status === 429 || status === 503) reply.header('retry-after', retryAfter(extras?.retryAfterMs));
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  reply
    .code(status)
    .header('content-type', PROBLEM_TYPE_UTF8)
    .send(problemText(code, detail, extras));
}

/** Answers with what was thrown. */
export function sendError(reply: Reply, error: unknown, log: Log): void {
  const known = error instanceof CountingError ? error : translated(error as Partial<FastifyError>);
  if (known === undefined) {
    log.error({ err: error }, 'a request met an internal error');
    sendProblem(reply, 'internal');
  } else {
    sendProblem(reply, known.code, known.message, { retryAfterMs: known.retryAfterMs });
  }
}

/** Ends a connection whose request could not even be read. */
export function refuseConnection(socket: Socket, code: ErrorCode): void {
  const body = problemText(code);
  const { httpStatus } = ERRORS[code];
  socket.end(
    `HTTP/1.1 ${httpStatus} ${code.replaceAll('_', ' ')}\r\ncontent-type: ${PROBLEM_TYPE}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  // A client that does not close its half is not waited for.
  socket.setTimeout(LINGER_MS, () => socket.destroy());
}

/** What Node calls the reason, told by our codes. */
export function connectionProblem(error: NodeJS.ErrnoException): ErrorCode {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large';
  return error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : 'invalid_request';
}

/** Fastify's own errors, before a handler has run. */
export function sendFrameworkError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  const known = translated(error);
  sendProblem(reply, known?.code ?? 'invalid_request', known?.message);
}

function translated(error: Partial<FastifyError>): CountingError | undefined {
  switch (error.code) {
    case 'FST_ERR_BAD_URL':
      return new CountingError('invalid_name', 'the path is not valid percent-encoded UTF-8');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new CountingError('invalid_name');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new CountingError('unsupported_media_type');
    default:
      break;
  }
  const status = error.statusCode ?? 500;
  return status >= 400 && status < 500 ? new CountingError('invalid_request', error.message) : undefined;
}

function retryAfter(ms: number | undefined): string {
  return String(Math.max(1, Math.ceil((ms ?? 1000) / 1000)));
}
