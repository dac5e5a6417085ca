/**
 * A slot store in Redis or Valkey: one server, one that Sentinels watch, or a cluster. `layout.ts` describes the data,
 * `scripts.ts` what is atomic, `feed.ts` and `lineage.ts` how a failover is detected, `line.ts` how calls end in time.
 *
 * Redis replicates asynchronously, so nothing here is durable in the sense of the contract, and no slot is ever
 * dropped: the owners send everything again when the term changes.
 */
import { randomBytes } from 'node:crypto';
import {
  type Assertion,
  type Changes,
  type CutRequest,
  type Guarantees,
  type Lease,
  type ReplicaId,
  type SlotPage,
  type SlotStore,
  type StoredState,
  StoreError,
  type StoreIdentity,
  StoreRefusal,
} from '../slot-store.ts';
import type { Call } from './call.ts';
import { type Library, RedisConnector } from './connection.ts';
import { type Beginning, cursorOf, Feed, Told } from './feed.ts';
import { KnownServers, type ServerMemory } from './known-servers.ts';
import { type BucketKeys, cutText, FORMAT, Layout, parseLease, parsePosition, parseState, slotText } from './layout.ts';
import { RedisLine } from './line.ts';
import { Lineage } from './lineage.ts';
import { parseRedisUrl } from './redis-url.ts';
import { CUT, MEET, MERGE, READ_LEASES, run, SWAP_LEASE, UNKNOWN } from './scripts.ts';
import { secureContext } from './tls.ts';

/** Counters in one command: few enough that other clients do not wait long. */
const COMMAND_NAMES = 500;

/** Errors that a retry cannot fix, and what to do about them. */
const FOR_PEOPLE: readonly (readonly [RegExp, string])[] = [
  [/^redis: (NOPERM|NOAUTH|WRONGPASS) /, 'check the user, the password and the rights that docs/redis.md names'],
  [/^redis: ERR DB index is out of range/, 'the number after the host names a database that the server does not have'],
];

export interface RedisStoreOptions {
  /** See `redis-url.ts`. */
  readonly url: string;
  /** Where the servers named by the store are kept for the next start. */
  readonly servers?: ServerMemory;
  /** The deadline of every call, in milliseconds. */
  readonly callMs: number;
  /** The prefix of all keys, in braces: stores with different prefixes can share a server. Default `tallyd`. */
  readonly prefix?: string;
  /**
   * Into how many pairs of keys the counters are divided; fixed at the store's first use. Default 64, good for some ten
   * million counters: a bucket moves between masters in one piece, and should stay below 100 MB.
   */
  readonly buckets?: number;
}

export class RedisStore implements SlotStore {
  readonly guarantees: Guarantees = {
    durable: false,
    notes: [
      'asynchronous replication: a failover can take back the last writes, resets among them; counts are then asserted again by whoever owns them',
      'a restart takes back what appendfsync allows: with appendonly no everything since the last dump, with everysec the last second or two',
      'nothing expires and nothing is evicted: maxmemory-policy must be noeviction',
    ],
  };
  readonly #line: RedisLine;
  readonly #layout: Layout;
  readonly #lineage = new Lineage();
  readonly #feed: Feed;
  /** The known store and the epochs of its buckets; none while another store is connected. */
  #id: string | undefined;
  #epochs: readonly string[] = [];

  private constructor(line: RedisLine, layout: Layout) {
    this.#line = line;
    this.#layout = layout;
    this.#feed = new Feed(layout, this.#lineage);
  }

  /** Loads the library; connects with the first call. @throws StoreRefusal if the options are invalid. */
  static async open(options: RedisStoreOptions): Promise<RedisStore> {
    const { url, callMs, servers, prefix = 'tallyd', buckets = 64 } = options;
    const target = parseRedisUrl(url);
    if (!/^[^{}]{1,64}$/.test(prefix))
      throw new StoreRefusal('the prefix of the Redis store has 1 to 64 characters, no braces');
    if (!Number.isInteger(buckets) || buckets < 1 || buckets > 16_384) {
      throw new StoreRefusal('the Redis store has 1 to 16384 buckets');
    }
    const library = await loadLibrary();
    const tls = target.tls && secureContext(target.tls);
    const { password } = target;
    const connector = new RedisConnector(library, target, new KnownServers(target, servers), tls, callMs / 2);
    const line = new RedisLine({
      connect: () => connector.connect(),
      callMs,
      redact: (message) => (password === undefined ? message : message.replaceAll(password, '***')),
    });
    return new RedisStore(line, new Layout(prefix, buckets));
  }

  async identity(expected?: string): Promise<StoreIdentity> {
    try {
      return await this.#line.call((call) => this.#meet(call, expected));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const [, advice] = FOR_PEOPLE.find(([pattern]) => pattern.test(error.message)) ?? [];
      throw advice === undefined ? error : new StoreRefusal(`${error.message}: ${advice}`);
    }
  }

  merge({ slots, cuts }: Assertion): Promise<void> {
    return this.#line.call(async (call) => {
      const fields = new Map<string, string>();
      for (const slot of slots) {
        const field = `s${slot.name}`;
        fields.set(field, (fields.get(field) ?? '') + slotText(slot));
      }
      for (const { name, cut } of cuts) fields.set(`c${name}`, cutText(cut));
      await this.#inParts(
        call,
        [...fields],
        ([field]) => field.slice(1),
        (keys, epoch, part) => run(call, MERGE, keys, [epoch, ...part.flat()]),
      );
    });
  }

  read(names: readonly string[]): Promise<readonly StoredState[]> {
    return this.#line.call(async (call) => {
      const states = new Array<StoredState>(names.length);
      await this.#inParts(
        call,
        [...names.entries()],
        ([, name]) => name,
        async ([state], epoch, part) => {
          const fields = part.flatMap(([, name]) => [`s${name}`, `c${name}`]);
          const [position, ...values] = (await call.send(state, ['HMGET', state, 'b', ...fields])) as (string | null)[];
          if (parsePosition(position ?? '')?.epoch !== epoch) throw new Error(UNKNOWN);
          part.forEach(([place], i) => {
            states[place] = parseState(values[2 * i] ?? null, values[2 * i + 1] ?? null);
          });
        },
      );
      return states;
    });
  }

  changes(cursor: string | undefined, reader?: ReplicaId): Promise<Changes> {
    return this.#line
      .call(async (call) => (await this.#feed.follow(call, cursor, reader)) ?? this.#restart(call))
      .catch((error: unknown) => {
        // A later master that evicts is no reason to stop counting; `identity` refuses it.
        throw error instanceof StoreRefusal ? new StoreError(error.message) : error;
      });
  }

  cut(requests: readonly CutRequest[]): Promise<readonly boolean[]> {
    return this.#line.call(async (call) => {
      const made = new Array<boolean>(requests.length);
      await this.#inParts(
        call,
        [...requests.entries()],
        ([, { name }]) => name,
        async (keys, epoch, part) => {
          const triples = part.flatMap(([, { name, expectedVersion, next }]) => [
            `c${name}`,
            `${expectedVersion}`,
            cutText(next),
          ]);
          const answer = (await run(call, CUT, keys, [epoch, ...triples])) as number[];
          part.forEach(([place], i) => {
            made[place] = answer[i] === 1;
          });
        },
      );
      return made;
    });
  }

  /** The cursor is the bucket and the position up to which its feed was read. */
  slotsOf(replica: ReplicaId, cursor: string | undefined): Promise<SlotPage> {
    return this.#line.call(async (call) => {
      const [, place = '0', since = ''] = /^(\d{1,5}) (\S*)$/.exec(cursor ?? '') ?? [];
      const bucket = Number(place);
      const keys = this.#layout.buckets[bucket];
      if (keys === undefined) return { slots: [], cursor: undefined };
      const told = new Told();
      await this.#known(call);
      const epoch = this.#epochs[bucket];
      if (epoch === undefined) throw new Error(UNKNOWN);
      const page = await this.#feed.page(call, keys, since === '' ? `${epoch}:0` : since, told);
      if (page === undefined && since === '') throw new Error(UNKNOWN);
      // A bucket that was lost or rolled back meanwhile is read again from its beginning.
      if (page === undefined) return { slots: [], cursor: `${bucket} ` };
      const slots = told.slots.filter((slot) => slot.replica === replica);
      if (!page.isLast) return { slots, cursor: `${bucket} ${page.position}` };
      return { slots, cursor: bucket + 1 < this.#layout.buckets.length ? `${bucket + 1} ` : undefined };
    });
  }

  lease(replica: ReplicaId): Promise<Lease | undefined> {
    return this.#line.call(async (call) => {
      const text = (await run(call, READ_LEASES, ...(await this.#leases(call, [replica])))) as string | null;
      return text === null ? undefined : parseLease(replica, text);
    });
  }

  leases(): Promise<readonly Lease[]> {
    return this.#line.call(async (call) => {
      const flat = (await run(call, READ_LEASES, ...(await this.#leases(call, [])))) as string[];
      return Array.from({ length: flat.length / 2 }, (_, i): Lease => {
        const [replica, text] = flat.slice(2 * i, 2 * i + 2) as [string, string];
        return parseLease(replica, text);
      });
    });
  }

  swapLease(replica: ReplicaId, expectedVersion: number, document: string): Promise<boolean> {
    return this.#line.call(async (call) => {
      const values = [replica, `${expectedVersion}`, document];
      return (await run(call, SWAP_LEASE, ...(await this.#leases(call, values)))) === 1;
    });
  }

  close(): Promise<void> {
    this.#line.close();
    return Promise.resolve();
  }

  async #meet(call: Call, expected?: string): Promise<StoreIdentity> {
    this.#lineage.forget();
    const buckets = `${this.#layout.buckets.length}`;
    const mine = [expected ?? randomBytes(16).toString('hex'), FORMAT, buckets];
    await this.#lineage.read(call);
    const [id, format, stored] = (await run(call, MEET, [this.#layout.meta], mine)) as string[];
    if (format !== FORMAT) {
      throw new StoreRefusal(`the Redis store has format ${format}, this version reads ${FORMAT}: use another prefix`);
    }
    if (stored !== buckets) {
      throw new StoreRefusal(`the Redis store has ${stored} buckets, not ${buckets}: set the option to what it has`);
    }
    this.#id = expected ?? String(id);
    if (id !== this.#id) {
      this.#epochs = [];
      return { id: String(id), term: '' };
    }
    const { term } = await this.#begin(call);
    return { id, term };
  }

  /** The current buckets, created if necessary. Only if the store is known to be the right one. */
  async #begin(call: Call): Promise<Beginning> {
    const now = await this.#feed.begin(call);
    this.#epochs = now.positions.map((position) => parsePosition(position)?.epoch ?? '');
    return now;
  }

  /** There may be changes that the feed does not show: a failover, lost data, another store. */
  async #restart(call: Call): Promise<Changes> {
    const { meta } = this.#layout;
    const id = await this.#known(call);
    if ((await call.send(meta, ['HGET', meta, 'id'])) !== id) throw new Error(UNKNOWN);
    const now = await this.#begin(call);
    return { slots: [], cuts: [], resync: true, cursor: cursorOf(now), term: now.term };
  }

  /** The id of the store; connects to it first if necessary. */
  async #known(call: Call): Promise<string> {
    return this.#id ?? (await this.#meet(call)).id;
  }

  /** Keys and values of a script about leases. */
  async #leases(call: Call, values: readonly string[]): Promise<[keys: string[], values: string[]]> {
    return [
      [this.#layout.meta, this.#layout.leases],
      [await this.#known(call), ...values],
    ];
  }

  /** Groups requests by bucket, splits each bucket's into commands, and sends all of them at once. */
  async #inParts<Item>(
    call: Call,
    items: readonly Item[],
    nameOf: (item: Item) => string,
    send: (keys: readonly [string, string], epoch: string, part: readonly Item[]) => Promise<unknown>,
  ): Promise<void> {
    await this.#known(call);
    const epochs = this.#epochs;
    if (epochs.length === 0) throw new Error(UNKNOWN);
    const buckets = Map.groupBy(items, (item) => this.#layout.bucketOf(nameOf(item)));
    const parts = Array.from(buckets, ([bucket, all]) => {
      const { state, feed } = this.#layout.buckets[bucket] as BucketKeys;
      const commands = Math.ceil(all.length / COMMAND_NAMES);
      return Array.from({ length: commands }, (_, i) =>
        send([state, feed], epochs[bucket] as string, all.slice(i * COMMAND_NAMES, (i + 1) * COMMAND_NAMES)),
      );
    });
    await Promise.all(parts.flat());
  }
}

/** The package `redis` is needed only with this store. */
async function loadLibrary(): Promise<Library> {
  try {
    return await import('redis');
  } catch {
    throw new StoreRefusal("the Redis store needs the package 'redis', version 6: npm install redis");
  }
}
