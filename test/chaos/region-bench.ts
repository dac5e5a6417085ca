// What a test of nodes over PostgreSQL has: a directory, a server, nodes on it; and takes away again.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { frame, RespConnection } from '../wire/counting-clients.ts';
import { PostgresProcess } from '../wire/postgres-process.ts';
import { stopServers } from '../wire/server-process.ts';
import { RegionNode } from './region-node.ts';

export class RegionBench {
  readonly root: string;
  readonly store: PostgresProcess;

  private constructor(root: string, store: PostgresProcess) {
    this.root = root;
    this.store = store;
  }

  static async open(): Promise<RegionBench> {
    const root = await mkdtemp(join(tmpdir(), 'tallyd-region-'));
    return new RegionBench(root, await PostgresProcess.start(root));
  }

  /** A node that is not started yet. */
  node(name: string, ...flags: string[]): RegionNode {
    return new RegionNode(this.root, name, { store: this.store.url(), flags });
  }

  async start(name: string, ...flags: string[]): Promise<RegionNode> {
    const node = this.node(name, ...flags);
    await node.start();
    return node;
  }

  async close(): Promise<void> {
    this.store.resume();
    await stopServers();
    await this.store.stop();
    await rm(this.root, { recursive: true, force: true });
  }
}

/** Sends RESP commands, and returns the first line of the reply to each; they have replies of one line. */
export async function resp(node: RegionNode, ...commands: string[]): Promise<string[]> {
  const connection = await RespConnection.open(node.server.resp);
  if (connection === undefined) throw new Error('nobody listens');
  try {
    connection.send(commands.map((command) => frame(...command.split(' '))).join(''));
    const text = await connection.lines(commands.length);
    if (text === undefined) throw new Error('the connection ended');
    return text.split('\r\n').slice(0, -1);
  } finally {
    connection.close();
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly session: string | null;
  readonly body: Readonly<Record<string, unknown>>;
}

/** One request; counts in the answer are strings. */
export async function http(
  node: RegionNode,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<HttpAnswer> {
  const { body, headers = {} } = options;
  const response = await fetch(`${node.url}${path}${path.includes('?') ? '&' : '?'}numbers=string`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
  });
  const session = response.headers.get('tallyd-session');
  return { status: response.status, session, body: (await response.json()) as HttpAnswer['body'] };
}
