// A process that contends for data directories, driven line by line over its standard input:
// `take DIR` answers `won` or `refused SENTENCE`, `release` answers `released`. It owns until it is told or killed.

import { createInterface } from 'node:readline';
import { type Ownership, takeOwnership } from '../../src/server/owner.ts';
import { reasonOf } from '../../src/server/start-error.ts';

let owned: Ownership | undefined;

async function obey(line: string): Promise<string> {
  if (line === 'release') {
    await owned?.release();
    owned = undefined;
    return 'released';
  }
  try {
    owned = await takeOwnership(line.slice('take '.length));
    return 'won';
  } catch (error) {
    return `refused ${reasonOf(error)}`;
  }
}

process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) process.stdout.write(`${await obey(line)}\n`);
