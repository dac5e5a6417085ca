/** The totals of an import. */
import type { BatchResult } from '../client/client.ts';
import type { ImportChunk, ImportPart } from './import-chunks.ts';
import { jsonOf, shown } from './terminal.ts';

/** Reasons that are printed in full; the others are only counted. */
const REASONS_MAX = 5;

export class ImportSummary {
  /** Lines with an event that the server has answered. */
  lines = 0;
  /** Counted by this run. */
  applied = 0;
  /** In chunks that were imported before: not counted again. */
  alreadyImported = 0;
  /** Events whose `id` was counted before. */
  duplicateIds = 0;
  refused = 0;
  /** Of all amounts that this run counted. */
  sum = 0n;
  /** The first lines that were refused, and why. */
  readonly reasons: string[] = [];

  /** Adds lines that were imported before. */
  addKnown(lines: number): void {
    this.lines += lines;
    this.alreadyImported += lines;
  }

  /** Adds the outcomes of a part. @returns the positions of its refused lines. */
  add(part: ImportPart, { outcomes, replayed }: BatchResult, source: string): number[] {
    if (replayed) {
      this.addKnown(part.lines.length);
      return [];
    }
    this.lines += part.lines.length;
    const refused: number[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.outcome !== 'done') {
        refused.push(i);
        this.refused += 1;
        if (this.reasons.length < REASONS_MAX) {
          const { name, code, detail } = outcome;
          this.reasons.push(`${source}:${part.lines[i]?.number}: ${shown(name)}: ${code}: ${detail}`);
        }
      } else if (outcome.replayed) {
        this.duplicateIds += 1;
      } else {
        this.applied += 1;
        this.sum += outcome.applied;
      }
    }
    return refused;
  }

  /** Adds a chunk as if it were counted, for a dry run. */
  addDry(chunk: ImportChunk): void {
    this.lines += chunk.lines.length;
    for (const { by } of chunk.updates) this.sum += BigInt(by ?? 1);
  }

  text(): string {
    const rows: [string, bigint | number][] = [
      ['lines', this.lines],
      ['applied', this.applied],
      ['already imported', this.alreadyImported],
      ['duplicate ids', this.duplicateIds],
      ['refused', this.refused],
      ['sum', this.sum],
    ];
    return rows.map(([name, value]) => `${name.padEnd(16)}  ${value}\n`).join('');
  }

  json(isComplete: boolean): string {
    const { lines, applied, alreadyImported, duplicateIds, refused, sum } = this;
    return `${jsonOf({ complete: isComplete, lines, applied, alreadyImported, duplicateIds, refused, sum })}\n`;
  }
}
