/** What an answer needs to be sent: a subset of Fastify's reply, which `PlainReply` has, too. */
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

export interface Reply {
  /** Whether it has been answered. */
  readonly sent: boolean;
  readonly request: { readonly raw: { readonly socket: Socket } };
  /** Tells when the answer is out, or its connection gone. */
  readonly raw: { once(event: 'close', listener: () => void): unknown };
  code(status: number): Reply;
  header(name: string, value: string): Reply;
  /** A stream is for large answers, which no `PlainReply` gets. */
  send(body: string | Buffer | Readable): unknown;
}
