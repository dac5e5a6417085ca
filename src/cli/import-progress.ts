/** A progress bar on stderr, when that is a terminal. */
import { type Options, SingleBar } from 'cli-progress';
import type { Content } from './import-content.ts';
import type { Terminal } from './terminal.ts';

export class ImportProgress {
  readonly #bar: SingleBar | undefined;
  readonly #content: Content;

  constructor(terminal: Terminal, content: Content) {
    this.#content = content;
    const { stderr } = terminal.world;
    if (stderr.isTTY !== true || terminal.json) return;
    const isSized = content.bytesTotal !== undefined;
    const options: Options = {
      format: isSized ? 'import {bar} {percentage} % | {lines} lines | {eta_formatted} left' : 'import {lines} lines',
      stream: stderr as NodeJS.WritableStream,
      barsize: 30,
      clearOnComplete: true,
      // The bar's own default leaves the cursor where a message would overwrite it.
      gracefulExit: false,
    };
    this.#bar = new SingleBar(options);
    this.#bar.start(content.bytesTotal ?? 0, 0, { lines: 0 });
  }

  update(lines: number): void {
    this.#bar?.update(this.#content.bytesRead, { lines });
  }

  stop(): void {
    this.#bar?.stop();
  }
}
