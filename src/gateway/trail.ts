/** What a door writes down about those who use it. */
export type WriteDown = (data: object, message: string) => void;

export interface Trail {
  /** A line for each HTTP request and each RESP connection. Undefined: off. */
  readonly access?: WriteDown | undefined;
  /** A line for what changes counters otherwise than by counting, for snapshots asked for, and for wrong secrets. */
  readonly audit?: WriteDown | undefined;
}
