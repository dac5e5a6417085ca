/**
 * A chunk with its planned replies: the requests of one connection that are executed together. A batch belongs to a
 * connection only while it is pending; an idle connection has none, so ten thousand idle ones cost little.
 */
import { Chunk } from '../../counter/chunk.ts';
import type { Client, CommandContext, DoorContext } from './command.ts';
import { Replies } from './replies.ts';
import type { Request } from './request.ts';

export class Batch implements CommandContext {
  readonly chunk = new Chunk();
  readonly replies = new Replies();
  readonly door: DoorContext;
  readonly request: Request;
  client: Client;

  constructor(door: DoorContext, request: Request, client: Client) {
    this.door = door;
    this.request = request;
    this.client = client;
  }

  get isEmpty(): boolean {
    return this.replies.length === 0;
  }
}

/** Beyond these a returned batch is left to the garbage collector: it may have grown to a megabyte. */
const IDLE_BATCHES_MAX = 64;

export class BatchPool {
  readonly #idle: Batch[] = [];
  readonly #door: DoorContext;
  readonly #request: Request;

  /** @param request the request that the door's reader fills. */
  constructor(door: DoorContext, request: Request) {
    this.#door = door;
    this.#request = request;
  }

  take(client: Client): Batch {
    const batch = this.#idle.pop() ?? new Batch(this.#door, this.#request, client);
    batch.client = client;
    return batch;
  }

  /** Takes back an unused batch. */
  give(batch: Batch): void {
    batch.chunk.reset();
    batch.replies.clear();
    if (this.#idle.length < IDLE_BATCHES_MAX) this.#idle.push(batch);
  }
}
