/**
 * Describes a failure in one sentence. The driver's errors are not passed on: they contain the connection, and so the
 * password.
 */
import { StoreError, UnknownStore } from '../slot-store.ts';

/** The prefix of the error of a transaction that reached another store. */
export const ANOTHER_STORE = 'another store';

/** A retry may succeed: a deadlock that the server resolved, or a concurrent update. */
const TRANSIENT = ['40P01', '40001'];
/** Wrong credentials, no such database, missing rights. A retry does not help. */
const FOR_PEOPLE = /^(28...|3D000|42501|42P01|3F000)$/;

/** The driver's message if the URL requires TLS and the server has none. */
const NO_TLS = /The server does not support SSL connections/;

/** The server refused, or could not be reached. */
export class PostgresError extends StoreError {
  /** PostgreSQL's five characters; undefined where the server has not answered. */
  readonly sqlState: string | undefined;

  constructor(message: string, sqlState: string | undefined) {
    super(message);
    this.sqlState = sqlState;
  }

  get isTransient(): boolean {
    return this.sqlState !== undefined && TRANSIENT.includes(this.sqlState);
  }

  get isForPeople(): boolean {
    return this.sqlState === undefined ? NO_TLS.test(this.message) : FOR_PEOPLE.test(this.sqlState);
  }
}

export function asStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (isServerAnswer(error) && describe(error).includes(`"${ANOTHER_STORE}: `)) {
    return new UnknownStore('PostgreSQL: another store is there, or it has restarted');
  }
  return new PostgresError(`PostgreSQL: ${describe(error)}`, sqlStateOf(error));
}

/** Whether the server answered with an error; the connection itself may then be fine. */
export function isServerAnswer(error: unknown): boolean {
  return error instanceof Error && 'severity' in error;
}

function sqlStateOf(error: unknown): string | undefined {
  if (!isServerAnswer(error)) return undefined;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

function describe(error: unknown): string {
  // A host with several addresses fails with one error for each, and no message of its own.
  if (error instanceof AggregateError) return error.errors.map(describe).join('; ');
  return error instanceof Error ? error.message : String(error);
}
