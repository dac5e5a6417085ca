/**
 * The load generator's process: takes one job at a time over its IPC channel and answers it. It keeps the last
 * stream, since making one takes longer than many a measurement. It ends with its parent.
 */
import { runClosedLoop } from './closed-loop.ts';
import type { Job, JobAnswer } from './job.ts';
import { runPacedLoop } from './paced-loop.ts';
import { openStream, type Stream, type StreamSpec } from './stream.ts';

let kept: { readonly key: string; readonly stream: Stream } | undefined;

function streamOf(spec: StreamSpec): Stream {
  if (spec.kind === 'fill' || spec.kind === 'ledger') return openStream(spec);
  const key = JSON.stringify(spec);
  if (kept?.key !== key) kept = { key, stream: openStream(spec) };
  return kept.stream;
}

async function perform(job: Job): Promise<JobAnswer> {
  const stream = streamOf(job.stream);
  try {
    const report =
      job.kind === 'closed' ? await runClosedLoop({ ...job, stream }) : await runPacedLoop({ ...job, stream });
    return { kind: 'done', report };
  } catch (error) {
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) };
  }
}

process.on('message', (job: Job) => {
  perform(job).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      throw error;
    },
  );
});
process.on('disconnect', () => process.exit(0));
