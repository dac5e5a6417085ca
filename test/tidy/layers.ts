// Who may import whom: the layers of the design as a table. A row imports rows below it, nothing upward, nothing
// sideways; what a layer needs from its own row it takes through an interface that lies lower, handed in by `server`.
//
// A unit is a folder of src/, or one of the subfolders named here where siblings must not know each other.

import { posix } from 'node:path';
import type { Finding, Source } from './source.ts';

const BELOW_CRDT = ['std', 'counter'];
const BELOW_JOURNAL = [...BELOW_CRDT, 'crdt', 'host'];
const BELOW_ENGINE = [...BELOW_JOURNAL, 'journal', 'store'];
const BELOW_GATEWAY = [...BELOW_ENGINE, 'engine'];
const GATEWAYS = ['gateway', 'gateway/auth', 'gateway/http', 'gateway/resp'];
const STORES = ['store/memory', 'store/redis', 'store/postgres', 'store/cassandra', 'store/nats'];
const BELOW_SERVER = [...BELOW_GATEWAY, ...GATEWAYS, ...STORES, 'host/node', 'exchange', 'query', 'client'];

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  std: [],
  counter: ['std'],
  crdt: BELOW_CRDT,
  host: BELOW_CRDT,
  'host/node': [...BELOW_CRDT, 'host'],
  journal: BELOW_JOURNAL,
  store: BELOW_JOURNAL,
  engine: BELOW_ENGINE,
  exchange: BELOW_GATEWAY,
  query: BELOW_GATEWAY,
  gateway: BELOW_GATEWAY,
  'gateway/auth': [...BELOW_GATEWAY, 'gateway'],
  'gateway/http': [...BELOW_GATEWAY, 'gateway', 'gateway/auth'],
  'gateway/resp': [...BELOW_GATEWAY, 'gateway', 'gateway/auth'],
  ...Object.fromEntries(STORES.map((store) => [store, [...BELOW_GATEWAY]])),
  server: BELOW_SERVER,
  client: [],
  cli: ['client', 'std'],
  dashboard: [],
};

/** What the build makes a package of its own, so that other layers reach its entry only. */
const CLIENT_PACKAGE = '@tallyd/client';
const CLIENT_ENTRY = 'src/client/client.ts';

/** Pure layers, and the client that browsers load: no packages, nothing of Node's. */
const SELF_CONTAINED = ['std', 'counter', 'crdt', 'client'];
/** Layers that a simulated world must be able to carry: time, disk and network come through the ports of `host`. */
const PORTS_ONLY = ['journal', 'engine', 'store', 'store/memory', 'exchange', 'query'];
const OUTSIDE =
  /^node:(fs|net|http|https|http2|tls|dgram|dns|os|child_process|cluster|worker_threads|timers)(\/|$)|^node:process$/;

/** Import direction. Unit tests may reach anywhere, for they have to build what they test. */
export function wrongImports(source: Source): Finding[] {
  const unit = unitOf(source.path);
  if (!source.path.startsWith('src/') || !source.isCode || source.isTest || unit === undefined) return [];
  const allowed = MAY_IMPORT[unit];
  if (allowed === undefined) {
    return [{ line: 1, complaint: `layer '${unit}' is unknown: put the file into a layer of the design's table` }];
  }
  return source.references().flatMap(({ specifier, line }) => {
    const complaint = specifier.startsWith('.')
      ? complainInside(source.path, unit, allowed, specifier)
      : complainOutside(unit, specifier);
    return complaint === undefined ? [] : [{ line, complaint }];
  });
}

function complainInside(path: string, unit: string, allowed: readonly string[], specifier: string): string | undefined {
  const target = posix.join(posix.dirname(path), specifier);
  if (!target.startsWith('src/')) {
    return `'${specifier}' leaves src/, so it is not in the package: move what is needed into a layer`;
  }
  if (target.endsWith('.test.ts'))
    return `'${specifier}' is a test and not built: move what is needed into its own file`;
  const other = unitOf(target);
  if (other === 'client' && unit !== 'client' && target !== CLIENT_ENTRY) {
    return `'${specifier}' is inside of the package ${CLIENT_PACKAGE}: import ${CLIENT_ENTRY}, which is all that it exports`;
  }
  if (other === unit || (other !== undefined && allowed.includes(other))) return undefined;
  const list = allowed.length === 0 ? 'nothing' : allowed.join(', ');
  return (
    `${unit} must not import ${other ?? specifier} (it may import ${list}): ` +
    `declare an interface in a lower layer and let server hand the implementation in`
  );
}

function complainOutside(unit: string, specifier: string): string | undefined {
  if (specifier === CLIENT_PACKAGE) return `${unit} must not import '${specifier}': import ${CLIENT_ENTRY}, its source`;
  if (SELF_CONTAINED.includes(unit)) {
    return `${unit} must not import '${specifier}': use the language and web standards, or take a port from host`;
  }
  if (PORTS_ONLY.includes(unit) && OUTSIDE.test(specifier)) {
    return `${unit} must not import '${specifier}': use the ports of host, so that it can be simulated`;
  }
  return undefined;
}

function unitOf(path: string): string | undefined {
  const [, folder, subfolder, ...rest] = path.split('/');
  if (folder === undefined || subfolder === undefined) return undefined;
  const nested = `${folder}/${subfolder}`;
  return rest.length > 0 && (nested in MAY_IMPORT || folder === 'gateway' || folder === 'store') ? nested : folder;
}
