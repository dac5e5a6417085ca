// The CLI run inside the test's process against scripted answers: what it was given, sent and wrote.

import { Readable, Writable } from 'node:stream';
import { main } from '../../src/cli/main.ts';
import type { Fetch, FetchInit, FetchResponse } from '../../src/client/client.ts';

export interface Sent extends FetchInit {
  readonly url: string;
}

export type Respond = (sent: Sent, count: number) => FetchResponse;

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly sent: readonly Sent[];
}

export interface Setting {
  /** Default: an empty object. `server`: nothing is scripted, requests go out. */
  readonly respond?: Respond | 'server';
  readonly stdin?: string | Uint8Array;
  readonly env?: Record<string, string>;
  readonly isTTY?: boolean;
  /** Errors that writes to stdout end with, after so many have succeeded. */
  readonly stdoutFails?: { readonly after: number; readonly code: string };
}

export async function run(argv: string[], setting: Setting = {}): Promise<Run> {
  const { respond = () => reply(200, {}), stdin = '', env = {}, isTTY = false, stdoutFails } = setting;
  const sent: Sent[] = [];
  const fetch: Fetch = async (url, init) => {
    sent.push({ url, ...init });
    return (respond as Respond)({ url, ...init }, sent.length - 1);
  };
  let writes = 0;
  const stdout = sink(isTTY, () => {
    const fails = stdoutFails !== undefined && writes++ >= stdoutFails.after;
    return fails ? Object.assign(new Error(stdoutFails.code), { code: stdoutFails.code }) : null;
  });
  const stderr = sink(isTTY, () => null);
  const scripted = respond === 'server' ? undefined : fetch;
  const world = { stdin: Readable.from([Buffer.from(stdin)]), stdout, stderr, env, fetch: scripted };
  const code = await main(['--timeout', respond === 'server' ? '10' : '0.2', ...argv], world);
  return { code, stdout: stdout.text(), stderr: stderr.text(), sent };
}

function sink(isTTY: boolean, fail: () => Error | null): Writable & { isTTY: boolean; text(): string } {
  const pieces: string[] = [];
  const stream = new Writable({
    write(piece: Buffer, _, done) {
      const error = fail();
      if (error === null) pieces.push(piece.toString());
      done(error);
    },
  });
  return Object.assign(stream, { isTTY, text: () => pieces.join('') });
}

export function reply(status: number, body: unknown): FetchResponse {
  return { status, headers: { get: () => null }, text: async () => JSON.stringify(body) };
}

export const problem = (status: number, code: string, fields: object = {}): FetchResponse =>
  reply(status, { code, detail: `about ${code}`, ...fields });
export const answer =
  (body: unknown): Respond =>
  () =>
    reply(200, body);
