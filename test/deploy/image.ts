// What the Dockerfile must agree on with the package, with the server's settings, and with compose.yaml.

import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { SETTINGS } from '../../src/server/settings.ts';
import { routes } from './agreement.ts';
import { type Instruction, nodesOf, ROOT, readCompose, readStages, type Texts } from './files.ts';

interface Package {
  readonly bin: { readonly tallyd: string };
  readonly files: readonly string[];
  readonly engines: { readonly node: string };
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The last instruction of this name in a stage. */
function last(stage: readonly Instruction[], name: string): string {
  return stage.findLast((instruction) => instruction.name === name)?.rest ?? '';
}

/** What is wrong with the Dockerfile. */
export function checkImage(texts: Texts): string[] {
  const stages = readStages(texts);
  const final = stages.at(-1) ?? [];
  const pack = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Package;
  return [
    ...copies(texts, stages),
    ...packages(texts, stages, pack),
    ...program(texts, final, pack),
    ...settings(texts, final),
  ];
}

/** The program is where the link says, and everything beside it that the package would bring for it. */
function program(texts: Texts, final: readonly Instruction[], pack: Package): string[] {
  const found: string[] = [];
  const home = final.find(({ name }) => name === 'WORKDIR')?.rest ?? '';
  const script = posix.join(home, pack.bin.tallyd);
  if (!last(final, 'RUN').includes(`ln -s ${script} /usr/local/bin/tallyd`)) found.push(`${script} is not linked`);
  if (last(final, 'ENTRYPOINT') !== '["tallyd"]') found.push('the entry point is not the program');
  const brought = final.filter(({ name }) => name === 'COPY').flatMap(({ rest }) => rest.split(' ').slice(0, -1));
  for (const file of [
    ...pack.files.filter((one) => !/[!.]|^docs$/.test(one)),
    'package.json',
    'packages',
    'node_modules',
  ]) {
    if (!brought.some((path) => posix.basename(path) === file)) found.push(`${file} does not come into the image`);
  }
  const nodes = nodesOf(readCompose(texts));
  for (const [name, { entrypoint, command }] of nodes) {
    if (entrypoint === undefined || command?.[0] !== 'tallyd')
      found.push(`${name} does not start the program by its name`);
  }
  return found;
}

/** Sources exist and are let in; what comes from an earlier stage is made there. */
function copies(texts: Texts, stages: readonly Instruction[][]): string[] {
  const found: string[] = [];
  const earlier = new Map<string, readonly Instruction[]>();
  const letIn = (texts['deploy/Dockerfile.dockerignore'] ?? '').split('\n').filter((line) => line.startsWith('!'));
  for (const stage of stages) {
    for (const { name, rest } of stage) {
      if (name !== 'COPY') continue;
      const [, from, paths = ''] = /^(?:--from=(\S+) )?(.*)$/.exec(rest) ?? [];
      for (const path of paths.split(' ').slice(0, -1)) {
        if (from === undefined) {
          if (!existsSync(join(ROOT, path))) found.push(`there is no ${path} to copy`);
          if (!letIn.includes(`!${path}`)) found.push(`${path} is not let in by Dockerfile.dockerignore`);
        } else if (!path.startsWith(`${last(earlier.get(from) ?? [], 'WORKDIR')}/`)) {
          found.push(`the stage ${from} does not make ${path}`);
        }
      }
    }
    const [, name = ''] = / AS (\S+)$/.exec(stage[0]?.rest ?? '') ?? [];
    earlier.set(name, stage);
  }
  return found;
}

/** The Node that is tested, and every driver of a store. */
function packages(texts: Texts, stages: readonly Instruction[][], pack: Package): string[] {
  const found: string[] = [];
  const [major] = /\d+/.exec(pack.devDependencies['node'] ?? '') ?? [];
  for (const [from] of stages) {
    if (from?.rest.startsWith(`node:${major}-slim`) !== true)
      found.push(`the base is ${from?.rest}, not Node ${major}`);
  }
  const [, drivers = ''] = /for driver in ([\w ]+);/.exec(texts['deploy/Dockerfile'] ?? '') ?? [];
  for (const driver of [...Object.keys(pack.peerDependencies), 'pg', 'redis']) {
    if (!drivers.split(' ').includes(driver)) found.push(`the driver ${driver} is not installed`);
    if (pack.devDependencies[driver] === undefined) found.push(`${driver} is no development dependency`);
  }
  return found;
}

function settings(texts: Texts, final: readonly Instruction[]): string[] {
  const found: string[] = [];
  const doors = SETTINGS.filter(({ key }) => key === 'http' || key === 'resp');
  const ports = doors.map(({ default: address }) => address?.split(':').at(-1));
  if (last(final, 'EXPOSE') !== ports.join(' ')) found.push(`the ports are ${last(final, 'EXPOSE')}, not ${ports}`);
  if (['', 'root', '0'].includes(last(final, 'USER'))) found.push('it runs as root');
  if (last(final, 'STOPSIGNAL') !== 'SIGTERM') found.push('it is not stopped by SIGTERM');
  const volume = last(final, 'VOLUME');
  const data = final.find(({ name, rest }) => name === 'ENV' && rest.startsWith('TALLYD_DATA='))?.rest.split('=')[1];
  if (volume === '' || volume !== data) found.push(`the volume is ${volume}, the data is in ${data}`);
  for (const [name, { volumes = [] }] of nodesOf(readCompose(texts))) {
    if (!volumes.some((one) => one.endsWith(`:${volume}`))) found.push(`${name} has no volume at ${volume}`);
  }
  for (const { name, rest } of final) {
    if (['ENV', 'ARG'].includes(name) && /SECRET|PASSWORD|TOKEN/.test(rest))
      found.push(`a secret in the image: ${rest}`);
  }
  const [, port, path] = /127\.0\.0\.1:(\d+)(\/\w+)/.exec(last(final, 'HEALTHCHECK')) ?? [];
  if (port !== ports[0] || !routes().includes(`'${path}'`)) found.push(`health is asked for at ${port} ${path}`);
  return found;
}

/** The program of the health check, asking at another port. */
export function healthCheck(texts: Texts, port: number): string[] {
  const [, words = '[]'] = /CMD (\[.*\])$/.exec(last(readStages(texts).at(-1) ?? [], 'HEALTHCHECK')) ?? [];
  return (JSON.parse(words) as string[]).map((word) => word.replace(':7070/', `:${port}/`));
}
