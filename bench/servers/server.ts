/** A server that a benchmark has started. */
export interface Server {
  readonly pid: number;
  /** Where it speaks RESP; undefined for one that does not. */
  readonly respPort: number | undefined;
  readonly httpPort: number | undefined;
  /** From the start of the process to its readiness. */
  readonly readyMs: number;
  /** Stopped as its operators would; the directory stays. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** The servers that are measured, by how they are set up. */
export type SetupName =
  | 'redis-off'
  | 'redis-always'
  | 'redis-snapshot'
  | 'tallyd-off'
  | 'tallyd-interval'
  | 'tallyd-always'
  | 'empty-route';
