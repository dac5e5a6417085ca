/** What a door logs about its clients. */
export type WriteDown = (data: object, message: string) => void;

export interface Trail {
  /** A line for each HTTP request and each RESP connection. Undefined: off. */
  readonly access?: WriteDown | undefined;
  /** A line for changes of counters other than counting, for requested snapshots, and for wrong secrets. */
  readonly audit?: WriteDown | undefined;
}
