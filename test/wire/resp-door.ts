// The RESP door on a real engine and a real directory, inside the test's own process.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Policy } from '../../src/counter/policy.ts';
import type { Durability } from '../../src/counter/service.ts';
import { Engine } from '../../src/engine/engine.ts';
import { Secret } from '../../src/gateway/auth/secret.ts';
import type { RespLimits } from '../../src/gateway/resp/connection-limits.ts';
import { RespGateway } from '../../src/gateway/resp/gateway.ts';
import { NodeDisk } from '../../src/host/node/disk.ts';
import { nodeHost } from '../../src/host/node/node.ts';

export interface DoorOptions {
  readonly durability?: Durability;
  readonly policies?: readonly Policy[];
  readonly secret?: string;
  readonly limits?: Partial<RespLimits>;
}

export interface Logged {
  readonly level: 'info' | 'warn' | 'error';
  readonly data: object;
  readonly message: string;
}

/** What the door logged, in order. */
export class LogBook {
  readonly lines: Logged[] = [];
  readonly info = (data: object, message: string) => this.lines.push({ level: 'info', data, message });
  readonly warn = (data: object, message: string) => this.lines.push({ level: 'warn', data, message });
  readonly error = (data: object, message: string) => this.lines.push({ level: 'error', data, message });
}

export class RespDoor {
  readonly gateway: RespGateway;
  readonly engine: Engine;
  readonly log: LogBook;
  readonly #directory: string;

  private constructor(gateway: RespGateway, engine: Engine, log: LogBook, directory: string) {
    this.gateway = gateway;
    this.engine = engine;
    this.log = log;
    this.#directory = directory;
  }

  /** Opens an empty one on a free port; without a sync per update unless the test asks for it. */
  static async open(options: DoorOptions = {}): Promise<RespDoor> {
    const { durability = 'off', policies, secret, limits } = options;
    const directory = await mkdtemp(join(tmpdir(), 'tallyd-resp-'));
    const host = nodeHost();
    const engine = await Engine.open({ disk: new NodeDisk(directory), host, durability, policies });
    const log = new LogBook();
    const gateway = await RespGateway.open({
      service: engine,
      clock: host.clock,
      host: '127.0.0.1',
      port: 0,
      secret: secret === undefined ? undefined : new Secret(secret),
      log,
      ...(limits === undefined ? {} : { limits }),
    });
    return new RespDoor(gateway, engine, log, directory);
  }

  async close(): Promise<void> {
    await this.gateway.close(0);
    await this.engine.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
