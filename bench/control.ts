/** A plain client for what is not measured: reading sums and asking servers about themselves. */
import { createClient } from 'redis';

/** Sends one command; the reply as RESP2 has it. */
export type Ask = (...command: string[]) => Promise<unknown>;

/** Connects, lets `work` ask, and disconnects. */
export async function withClient<T>(port: number, work: (ask: Ask) => Promise<T>): Promise<T> {
  const client = createClient({ RESP: 2, socket: { host: '127.0.0.1', port, reconnectStrategy: false } });
  // Whoever waits for an answer gets the error as well.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work((...command) => client.sendCommand(command));
  } finally {
    client.destroy();
  }
}
