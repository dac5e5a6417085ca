/** What the work of a row has at hand. */
import type { GeneratorProcess } from '../load/generator-process.ts';
import type { Cores } from '../machine/processor.ts';
import type { Supervisor } from '../machine/supervisor.ts';
import type { Targets } from '../targets.ts';

export interface Bench {
  readonly supervisor: Supervisor;
  readonly cores: Cores;
  readonly generator: GeneratorProcess;
  readonly targets: Targets;
  readonly times: Times;
  /** Of the random names; every round has its own. */
  readonly seed: number;
  /** Names of the ordinary rows. */
  readonly names: number;
  /** Divides the number of counters of the rows about memory and restarts, so that `--quick` is quick. */
  readonly shrink: number;
  /** Tells that a stored sum was found to be right. */
  readonly onVerified: (servers: number) => void;
}

export interface Times {
  readonly warmUpMs: number;
  readonly durationMs: number;
}
