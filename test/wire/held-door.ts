// The RESP door on a service that holds chunks and a clock that the test advances.

import { setImmediate as turn } from 'node:timers/promises';
import type { Secret } from '../../src/gateway/auth/secret.ts';
import { ConnectionBudget } from '../../src/gateway/connection-budget.ts';
import type { RespLimits } from '../../src/gateway/resp/connection-limits.ts';
import { RespGateway } from '../../src/gateway/resp/gateway.ts';
import type { TransportKind } from '../../src/gateway/resp/transport.ts';
import { SimulatedClock } from '../simulation/host.ts';
import { HeldService } from './held-service.ts';
import { RawClient } from './raw-client.ts';
import { LogBook } from './resp-door.ts';

const opened = new Set<HeldDoor>();

export class HeldDoor {
  readonly service: HeldService;
  readonly clock: SimulatedClock;
  readonly log: LogBook;
  readonly gateway: RespGateway;
  readonly #clients: RawClient[] = [];

  private constructor(service: HeldService, clock: SimulatedClock, log: LogBook, gateway: RespGateway) {
    this.service = service;
    this.clock = clock;
    this.log = log;
    this.gateway = gateway;
    opened.add(this);
  }

  static async open(
    transport: TransportKind,
    limits: Partial<RespLimits> = {},
    { connectionsMax = 100, secret }: { readonly connectionsMax?: number; readonly secret?: Secret } = {},
  ): Promise<HeldDoor> {
    const service = new HeldService();
    const clock = new SimulatedClock();
    const log = new LogBook();
    const budget = new ConnectionBudget(connectionsMax, clock, (data) => log.warn(data, 'connections refused'));
    const at = { host: '127.0.0.1', port: 0 };
    const gateway = await RespGateway.open({ ...at, service, clock, log, limits, budget, secret, transport });
    return new HeldDoor(service, clock, log, gateway);
  }

  readonly connect = async (): Promise<RawClient> => {
    const client = await RawClient.connect(this.gateway.address);
    this.#clients.push(client);
    return client;
  };

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    const closing = this.gateway.close(0);
    await this.clock.advance(0);
    await closing;
    opened.delete(this);
  }
}

/** For an `afterEach`. */
export async function closeDoors(): Promise<void> {
  for (const door of opened) await door.close();
}

/** Lets what is on its way through the kernel arrive, until the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
