// One process per data directory, with real processes: the contest can only be wrong between them.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { seed } from '../seed.ts';

const CONTENDERS = 8;
const ROUNDS = 25;
const program = fileURLToPath(new URL('./owner-contender.ts', import.meta.url));

class Contender {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>) {
    this.#child = child;
    this.#lines = lines;
  }

  static async start(): Promise<Contender> {
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
    const contender = new Contender(child, createInterface({ input: child.stdout })[Symbol.asyncIterator]());
    await contender.#line();
    return contender;
  }

  async say(command: string): Promise<string> {
    this.#child.stdin?.write(`${command}\n`);
    return this.#line();
  }

  /** Does not wait for the process to be gone: whoever comes next must cope with one that is dying. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    return done === true ? 'ended' : value;
  }
}

let root: string;
let contenders: Contender[];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tallyd-owner-'));
  contenders = await Promise.all(Array.from({ length: CONTENDERS }, () => Contender.start()));
});

afterAll(async () => {
  for (const contender of contenders) contender.kill();
  await rm(root, { recursive: true, force: true });
});

async function race(directory: string): Promise<number> {
  const answers = await Promise.all(contenders.map((contender) => contender.say(`take ${directory}`)));
  const winners = answers.flatMap((answer, at) => (answer === 'won' ? [at] : []));
  expect(winners, `seed ${seed}: ${answers.join(' | ')}`).toHaveLength(1);
  for (const answer of answers) expect(answer).toMatch(/^(won$|refused .* is in use by process \d+: stop it)/);
  return winners[0] ?? 0;
}

describe(`owning a data directory, seed ${seed}`, () => {
  it(`is won by exactly one of ${CONTENDERS} that start at once, after a kill as after a release`, async () => {
    const random = new SeededRandom(seed);
    const directory = join(root, 'contest');
    for (let round = 0; round < ROUNDS; round++) {
      const winner = await race(directory);
      if (random.chance(0.5)) {
        expect(await contenders[winner]?.say('release')).toBe('released');
        continue;
      }
      contenders[winner]?.kill();
      contenders[winner] = await Contender.start();
    }
  });

  it('leaves one socket while it is owned and none after a release, whatever crashed before', async () => {
    const directory = join(root, 'leftovers');
    const first = await race(directory);
    contenders[first]?.kill();
    contenders[first] = await Contender.start();
    const second = await race(directory);
    const sockets = (await readdir(directory)).filter((name) => name !== 'owner.json');
    expect(sockets).toHaveLength(1);
    await contenders[second]?.say('release');
    expect(await readdir(directory)).toEqual(['owner.json']);
    expect(JSON.parse(await readFile(join(directory, 'owner.json'), 'utf8'))).toMatchObject({ released: true });
  });

  it('works in a directory whose path is longer than a socket address', async () => {
    const directory = join(root, 'a'.repeat(120), 'b'.repeat(120));
    const winner = await race(directory);
    expect(await contenders[winner]?.say('release')).toBe('released');
  });
});
