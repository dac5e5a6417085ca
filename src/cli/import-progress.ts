/** A progress bar on stderr, if that is a terminal. */
import { type Options, SingleBar } from 'cli-progress';
import type { Content } from './import-content.ts';
import type { Terminal } from './terminal.ts';

export class ImportProgress {
  #bar: SingleBar | undefined;

  start(terminal: Terminal, { bytesTotal }: Content): void {
    const { stderr } = terminal.world;
    if (stderr.isTTY !== true || terminal.json) return;
    const sized = 'import {bar} {percentage} % | {lines} lines | {eta_formatted} left';
    const options: Options = {
      format: bytesTotal === undefined ? 'import {lines} lines' : sized,
      stream: stderr as NodeJS.WritableStream,
      barsize: 30,
      clearOnComplete: true,
      // The bar would change the terminal's wrapping, and a Ctrl-C must leave the terminal unchanged.
      linewrap: true,
      gracefulExit: false,
    };
    this.#bar = new SingleBar(options);
    this.#bar.start(bytesTotal ?? 0, 0, { lines: 0 });
  }

  update({ bytesRead }: Content, lines: number): void {
    this.#bar?.update(bytesRead, { lines });
  }

  stop(): void {
    this.#bar?.stop();
  }
}
