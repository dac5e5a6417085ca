/** The load generator as the benchmark holds it: a child on the other core. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Supervisor } from '../machine/supervisor.ts';
import type { LoadReport } from './closed-loop.ts';
import type { ClosedJob, Job, JobAnswer, PacedJob } from './job.ts';
import type { PacedReport } from './paced-loop.ts';

const PROGRAM = fileURLToPath(new URL('./generator.ts', import.meta.url));

export class GeneratorProcess {
  readonly #child: ChildProcess;
  readonly #supervisor: Supervisor;

  constructor(supervisor: Supervisor, core: number | undefined) {
    this.#supervisor = supervisor;
    const start = { command: process.execPath, args: [PROGRAM], core };
    // 'advanced' keeps undefined and bigint as they are.
    this.#child = supervisor.start(start, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @throws when the server closed a connection or answered an error */
  closed(job: Omit<ClosedJob, 'kind'>): Promise<LoadReport> {
    return this.#perform({ kind: 'closed', ...job });
  }

  /** @throws when the server closed a connection or answered an error */
  async paced(job: Omit<PacedJob, 'kind'>): Promise<PacedReport> {
    return (await this.#perform({ kind: 'paced', ...job })) as PacedReport;
  }

  stop(): Promise<void> {
    return this.#supervisor.stop(this.#child);
  }

  async #perform(job: Job): Promise<LoadReport> {
    const ended = new AbortController();
    const answered = once(this.#child, 'message', { signal: ended.signal });
    const gone = once(this.#child, 'exit', { signal: ended.signal }).then(([code, signal]) => {
      throw new Error(`the load generator ended (${signal ?? code})`);
    });
    this.#child.send(job);
    try {
      const [answer] = (await Promise.race([answered, gone])) as [JobAnswer];
      if (answer.kind === 'failed') throw new Error(answer.reason);
      return answer.report;
    } finally {
      ended.abort();
      await Promise.allSettled([answered, gone]);
    }
  }
}
