/** What the benchmark asks of the load generator, which is a process of its own, and what it answers. */
import type { LoadReport } from './closed-loop.ts';
import type { PacedReport } from './paced-loop.ts';
import type { StreamSpec } from './stream.ts';

interface Target {
  readonly port: number;
  readonly serverPid: number;
  readonly connections: number;
  readonly stream: StreamSpec;
}

/** As fast as possible. */
export interface ClosedJob extends Target {
  readonly kind: 'closed';
  readonly warmUpMs: number;
  /** Undefined: until the stream ends. */
  readonly durationMs: number | undefined;
}

/** At a rate. */
export interface PacedJob extends Target {
  readonly kind: 'paced';
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly rate: number;
}

export type Job = ClosedJob | PacedJob;

export type JobAnswer =
  | { readonly kind: 'done'; readonly report: LoadReport | PacedReport }
  | { readonly kind: 'failed'; readonly reason: string };
