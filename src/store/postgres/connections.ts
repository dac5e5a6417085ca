/**
 * Connections to the server, and the only way to query it: a transaction that carries its own settings and ends in
 * time.
 *
 * - No state outlives a transaction: no prepared statement, no session setting, no session lock. So a pooler that
 *   assigns connections per transaction works.
 * - Begin, statement and commit are sent together, so a transaction takes one round trip, and a stalled process does
 *   not keep locks.
 * - A call ends after `callMs` here, and after the same time on the server, even if the client is gone.
 */
import type { Client, ClientConfig, Pool, PoolClient } from 'pg';
import { StoreError, type StoreIdentity, StoreRefusal } from '../slot-store.ts';
import { ANOTHER_STORE, asStoreError, isServerAnswer, PostgresError } from './failure.ts';
import { term as termOf } from './feed.ts';
import type { Value } from './rows.ts';

const ID = /^[0-9a-f]{32}$/;
const TERM = /^[0-9-]+$/;

/** Sends a statement of a transaction. */
export type Send = <Row>(text: string, values?: readonly Value[]) => Promise<readonly Row[]>;

export interface ConnectionOptions {
  readonly url: string;
  readonly callMs: number;
  readonly connectionsMax: number;
}

export class Connections {
  readonly #pool: Pool;
  readonly #callMs: number;
  readonly #limits: string;
  /** What every transaction checks first. */
  #check = '';
  /** The check for transactions that read the counts of others. */
  #termCheck = '';
  readonly #closing = new AbortController();
  /** Connections that are still being opened: the pool cannot end these. */
  readonly #connecting: ReadonlySet<Client>;

  private constructor(pool: Pool, connecting: ReadonlySet<Client>, callMs: number) {
    this.#pool = pool;
    this.#connecting = connecting;
    this.#callMs = callMs;
    this.#limits = begin(Math.ceil(callMs));
  }

  /**
   * From now on a transaction is for the store with this id, or fails with `UnknownStore`; and one `underTerm` for the
   * store as it was when it had this term. @param schema quoted
   */
  keepTo(schema: string, { id, term }: StoreIdentity): void {
    if (!ID.test(id)) throw new StoreRefusal(`${schema}.meta holds an id that is none: restore its row from a backup`);
    const found = `(SELECT id FROM ${schema}.meta)`;
    const checkOf = (condition: string): string =>
      `; SELECT CASE WHEN ${condition} THEN 0 ELSE ('${ANOTHER_STORE}: ' || coalesce(${found}, ''))::integer END`;
    if (!TERM.test(term)) throw new StoreError('PostgreSQL: the server does not say since when it runs');
    this.#check = checkOf(`${found} = '${id}'`);
    // One statement for both: a second one would take a third of the time of a short read.
    this.#termCheck = checkOf(`${found} = '${id}' AND ${termOf(schema)} = '${term}'`);
  }

  /** Loads the driver; does not connect yet. @throws StoreRefusal if the driver is missing or the URL is invalid. */
  static async open({ url, callMs, connectionsMax }: ConnectionOptions): Promise<Connections> {
    const { Client, Pool } = await loadDriver();
    const settings = {
      connectionString: url,
      application_name: 'tallyd',
      keepAlive: true,
      pipeline: true,
      connectionTimeoutMillis: callMs,
      query_timeout: callMs,
    };
    try {
      if (!/^postgres(ql)?:\/\//.test(url)) throw new Error('it does not begin with postgres://');
      new Client(settings);
    } catch {
      // The driver's reason is not shown: it would quote the URL, which contains the password.
      throw new StoreRefusal(
        'the URL of the PostgreSQL store is not valid: give postgres://user:password@host:5432/database, ' +
          'with % codes for special characters, and check the files that it names',
      );
    }
    const connecting = new Set<Client>();
    class Connecting extends Client {
      constructor(config?: ClientConfig) {
        super(config);
        connecting.add(this);
        this.once('end', () => connecting.delete(this));
      }
    }
    const pool = new Pool({ ...settings, max: connectionsMax, Client: Connecting });
    const ignore = (): void => {
      // An 'error' event without a listener would end the process. Pending calls report the error themselves.
    };
    pool.on('error', ignore);
    pool.on('connect', (client) => {
      client.on('error', ignore);
      if (client instanceof Connecting) connecting.delete(client);
    });
    return new Connections(pool, connecting, callMs);
  }

  /** Gives several statements one time limit. */
  async inTime<Answer>(work: (timeLimit: TimeLimit) => Promise<Answer>): Promise<Answer> {
    const timeLimit = new TimeLimit(this.#callMs, this.#closing.signal);
    try {
      return await work(timeLimit);
    } finally {
      timeLimit.end();
    }
  }

  /** Runs one statement as one transaction. A deadlock or similar failure is retried while there is time. */
  run<Row>(text: string, values: readonly Value[] = [], timeLimit?: TimeLimit): Promise<readonly Row[]> {
    return this.#run(this.#limits + this.#check, text, values, timeLimit);
  }

  /** The same, unless the store's term has changed. */
  runUnderTerm<Row>(text: string, values: readonly Value[], timeLimit?: TimeLimit): Promise<readonly Row[]> {
    return this.#run(this.#limits + this.#termCheck, text, values, timeLimit);
  }

  /** The same for any store. */
  runAnywhere<Row>(text: string, values: readonly Value[] = [], timeLimit?: TimeLimit): Promise<readonly Row[]> {
    return this.#run(this.#limits, text, values, timeLimit);
  }

  #run<Row>(
    begin: string,
    text: string,
    values: readonly Value[],
    timeLimit: TimeLimit | undefined,
  ): Promise<readonly Row[]> {
    return this.#call(timeLimit, async (client) => {
      const [began, answered, committed] = await Promise.allSettled([
        client.query(begin),
        client.query({ text, values: [...values] }),
        client.query('COMMIT'),
      ]);
      if (began.status === 'rejected') throw began.reason;
      if (answered.status === 'rejected') throw answered.reason;
      if (committed.status === 'rejected') throw committed.reason;
      return answered.value.rows;
    });
  }

  /** Runs statements that depend on each other's results as one transaction, on any store. */
  transaction<Answer>(work: (send: Send) => Promise<Answer>, timeLimit?: TimeLimit): Promise<Answer> {
    return this.#call(timeLimit, async (client) => {
      await client.query(this.#limits);
      const answer = await work(async (text, values = []) => (await client.query({ text, values: [...values] })).rows);
      await client.query('COMMIT');
      return answer;
    });
  }

  /** Ends connections and pending calls. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    const ended = this.#pool.end();
    for (const client of this.#connecting) client.connection.stream.destroy();
    await ended;
  }

  #call<Answer>(given: TimeLimit | undefined, work: (client: PoolClient) => Promise<Answer>): Promise<Answer> {
    return given === undefined
      ? this.inTime((timeLimit) => this.#attempts(timeLimit, work))
      : this.#attempts(given, work);
  }

  async #attempts<Answer>(timeLimit: TimeLimit, work: (client: PoolClient) => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        return await this.#attempt(timeLimit, work);
      } catch (error) {
        const failure = asFailure(error);
        if (!(failure instanceof PostgresError && failure.isTransient)) throw failure;
      }
    }
  }

  async #attempt<Answer>(timeLimit: TimeLimit, work: (client: PoolClient) => Promise<Answer>): Promise<Answer> {
    const client = await this.#connect(timeLimit);
    try {
      const answer = await timeLimit.orEarlier(work(client));
      client.release();
      return answer;
    } catch (error) {
      const isIdle = isServerAnswer(error) && client.getTransactionStatus() === 'I';
      // Pending work ends with its connection. A graceful end would wait for it.
      if (!isIdle) client.connection.stream.destroy();
      client.release(!isIdle);
      throw error;
    }
  }

  async #connect(timeLimit: TimeLimit): Promise<PoolClient> {
    timeLimit.check();
    const connecting = this.#pool.connect();
    try {
      return await timeLimit.orEarlier(connecting);
    } catch (error) {
      connecting.then(
        (late) => late.release(),
        () => {
          // The failure is thrown here, or it came too late to matter.
        },
      );
      throw error;
    }
  }
}

/** The deadline of a call: its time limit, or when the store is closed. */
export class TimeLimit {
  readonly #passed: Promise<never>;
  readonly #timer: NodeJS.Timeout;
  readonly #closing: AbortSignal;
  readonly #onClose: () => void;

  constructor(callMs: number, closing: AbortSignal) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#passed = promise;
    promise.catch(() => {
      // Waiters are notified; there may be none.
    });
    this.#timer = setTimeout(() => reject(new StoreError(`PostgreSQL: no answer within ${callMs} ms`)), callMs);
    this.#closing = closing;
    this.#onClose = () => reject(closed());
    closing.addEventListener('abort', this.#onClose);
  }

  check(): void {
    if (this.#closing.aborted) throw closed();
  }

  orEarlier<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#passed]);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#closing.removeEventListener('abort', this.#onClose);
  }
}

function closed(): StoreError {
  return new StoreError('PostgreSQL: the store is closed');
}

/** Deliberate errors are rethrown unchanged. */
function asFailure(error: unknown): Error {
  return error instanceof StoreRefusal ? error : asStoreError(error);
}

/**
 * READ WRITE, because a standby must not answer. Statements are lookups by key in tables whose statistics may not exist
 * yet, so the planner may not scan whole tables or indexes, nor compile. `synchronous_commit = off` is overridden;
 * stricter settings stay.
 */
function begin(callMs: number): string {
  return `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = ${callMs};
    SET LOCAL idle_in_transaction_session_timeout = ${callMs};
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off;
    SET LOCAL jit = off;
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`;
}

async function loadDriver(): Promise<Pick<typeof import('pg'), 'Client' | 'Pool'>> {
  try {
    return (await import('pg')).default;
  } catch {
    throw new StoreRefusal(
      "the PostgreSQL store needs the npm package 'pg': install it beside tallyd (npm install pg)",
    );
  }
}
