// Installs what is missing: npm packages (among them the pinned Node), and the Debian packages that wire tests drive.
// All noise goes to stderr: stdout belongs to what was asked for.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { Failure, run } from './run.mjs';

/** Programs that tests start, and the Debian package that brings each. */
const PROGRAMS = {
  'redis-server': 'redis-server',
  'redis-cli': 'redis-tools',
  'redis-benchmark': 'redis-tools',
  initdb: 'postgresql',
  postgres: 'postgresql',
  pgbouncer: 'pgbouncer',
  haproxy: 'haproxy',
  strace: 'strace',
  curl: 'curl',
};

/** Packages that start a service of the same name. */
const SERVICES = ['redis-server', 'postgresql', 'pgbouncer', 'haproxy'];

const NODE_WANTED = [22, 12];
/** stdout of the child goes to our stderr. */
const QUIET = { stdio: ['ignore', 2, 2] };

/** Installs the npm packages unless exactly these are there already. */
export async function installPackages(root) {
  const stamp = join(root, 'node_modules', '.tallyd-packages');
  const wanted = packagesHash(root);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  process.stderr.write('installing npm packages ...\n');
  await npmInstall(root, process.execPath);
  // An npm that runs on an old Node leaves out, without a word, native binaries that want a newer one. By now the
  // pinned Node is there, and the same npm on top of it completes the job.
  if (!isNewEnough()) await npmInstall(root, pinnedNode(root));
  writeFileSync(stamp, wanted);
}

/**
 * Not `npm ci`: a lock file written where the registry lacks other platforms' binaries omits them, and npm ci then
 * refuses it everywhere. With --no-save the lock is honoured, the gap tolerated, and nothing committed is changed.
 */
async function npmInstall(root, node) {
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--include=dev', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith('.js') ? [node, [npm]] : ['npm', []];
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` };
  const code = await run(command, [...first, ...args], { cwd: root, env, ...QUIET });
  if (code !== 0) throw new Failure(`npm install failed with exit code ${code}: see its messages above`);
}

/** Only what decides about node_modules: a new script or description is no reason to install again. */
function packagesHash(root) {
  const { dependencies, devDependencies, optionalDependencies, peerDependencies, overrides } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  const declared = { dependencies, devDependencies, optionalDependencies, peerDependencies, overrides };
  return createHash('sha256')
    .update(JSON.stringify(declared))
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(`${process.platform} ${process.arch}`)
    .digest('hex');
}

/** The pinned Node; where its binary cannot run, the present one if it is new enough. */
export function pinnedNode(root) {
  for (const path of [join(root, 'node_modules/node/bin/node'), join(root, 'node_modules/.bin/node')]) {
    if (existsSync(path) && spawnSync(path, ['--version']).status === 0) return path;
  }
  if (isNewEnough()) return process.execPath;
  throw new Failure(
    `the npm package 'node' brought no Node that runs here, and ${process.versions.node} is too old: ` +
      `allow its install script (npm rebuild node), or install Node ${NODE_WANTED.join('.')} or newer`,
  );
}

function isNewEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > NODE_WANTED[0] || (major === NODE_WANTED[0] && minor >= NODE_WANTED[1]);
}

/** Tries to install the Debian packages that tests need; returns the programs that are still missing. */
export async function installPrograms() {
  const missing = missingPrograms();
  if (missing.length === 0) return missing;
  const prefix = aptPrefix();
  if (prefix === undefined) return missing;
  const packages = [...new Set(missing.map((program) => PROGRAMS[program]))];
  process.stderr.write(`installing Debian packages: ${packages.join(' ')} ...\n`);
  const apt = (...args) => {
    const [command, ...rest] = [...prefix, 'apt-get', '-o', 'DPkg::Lock::Timeout=120', '-q', ...args];
    return run(command, rest, QUIET);
  };
  if ((await apt('update')) === 0) await apt('install', '-y', '--no-install-recommends', ...packages);
  for (const service of SERVICES) if (packages.includes(service)) await stopService(prefix, service);
  return missingPrograms();
}

/** The package starts it on its default port; tests start their own servers, and nobody asked for that one. */
async function stopService(prefix, service) {
  const stop = existsSync('/run/systemd/system')
    ? ['systemctl', 'disable', '--now', service]
    : ['service', service, 'stop'];
  const [command, ...args] = [...prefix, ...stop];
  await run(command, args, QUIET);
}

function missingPrograms() {
  return Object.keys(PROGRAMS).filter((program) => findProgram(program) === undefined);
}

/** How to call apt-get here without being asked for a password; undefined when that is impossible. */
function aptPrefix() {
  if (findProgram('apt-get') === undefined) return undefined;
  const environment = ['env', 'DEBIAN_FRONTEND=noninteractive'];
  if (process.getuid?.() === 0) return environment;
  if (findProgram('sudo') === undefined) return undefined;
  try {
    execFileSync('sudo', ['-n', 'true'], { stdio: 'ignore' });
    return ['sudo', '-n', ...environment];
  } catch {
    return undefined;
  }
}

function findProgram(name) {
  // A minimal PATH of an ordinary user lacks the sbin directories, where some of these live; and no PATH has those of
  // Debian's PostgreSQL, one for each version.
  const usual = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin'];
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...usual, ...postgresDirectories()];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function postgresDirectories() {
  const versions = '/usr/lib/postgresql';
  return existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, 'bin')) : [];
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
