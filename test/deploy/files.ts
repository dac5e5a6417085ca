// The files of deploy/, read as far as the tests need them: compose with its variables filled in, the Dockerfile as
// instructions, HAProxy's sections.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly profiles?: readonly string[];
  readonly hostname?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: readonly string[] | Readonly<Record<string, { readonly ipv4_address?: string } | null>>;
  readonly depends_on?: readonly string[] | Readonly<Record<string, { condition: string; required?: boolean }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly ulimits?: { readonly nofile: number };
}

interface Network {
  readonly internal?: boolean;
  readonly ipam?: { readonly config: readonly { readonly subnet: string; readonly ip_range?: string }[] };
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, Network | null>>;
  readonly volumes: Readonly<Record<string, null>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

export interface Prometheus {
  readonly scrape_configs: readonly {
    readonly metrics_path?: string;
    readonly authorization: { readonly type: string; readonly credentials_file: string };
    readonly static_configs: readonly { readonly targets: readonly string[] }[];
  }[];
}

export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Texts by path from the root of the repository; a test may hold broken ones. */
export type Texts = Readonly<Record<string, string>>;

/** Everything that the checks compare. */
export function readTexts(): Texts {
  const names = readdirSync(join(ROOT, 'deploy'), { withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = [...names.map(({ name }) => `deploy/${name}`), 'deploy/secrets/.gitignore', 'docs/deployment.md'];
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]));
}

/** The value of each variable in deploy/.env. */
export function variables(texts: Texts): Record<string, string> {
  const lines = (texts['deploy/.env'] ?? '').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/**
 * compose.yaml as Compose would take it with these variables. @throws for a variable that has no value and no default
 */
export function readCompose(texts: Texts, given: Readonly<Record<string, string>> = variables(texts)): Compose {
  const fill = (text: string): string =>
    text.replace(/\$(\$|\{(\w+)(?::-([^}]*))?\})/g, (_, whole: string, name: string, fallback?: string) => {
      const value = whole === '$' ? '$' : given[name] || fallback;
      if (value === undefined) throw new Error(`compose.yaml: ${name} has neither a value nor a default`);
      return value;
    });
  const filled = (value: unknown): unknown => {
    if (typeof value === 'string') return fill(value);
    if (Array.isArray(value)) return value.map(filled);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner)]));
  };
  return filled(parse(texts['deploy/compose.yaml'] ?? '', { merge: true })) as Compose;
}

export function readPrometheus(texts: Texts): Prometheus {
  return parse(texts['deploy/prometheus.yaml'] ?? '') as Prometheus;
}

/** The Dockerfile's stages, each with its instructions; the first of them is FROM. */
export function readStages(texts: Texts): Instruction[][] {
  const text = (texts['deploy/Dockerfile'] ?? '').replace(/^#.*\n/gm, '').replace(/\\\n\s*/g, '');
  const stages: Instruction[][] = [];
  for (const line of text.split('\n').filter((one) => one.trim() !== '')) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === '') throw new Error(`Dockerfile: what is this? ${line}`);
    if (name === 'FROM') stages.push([]);
    stages.at(-1)?.push({ name, rest });
  }
  return stages;
}

/** HAProxy's sections by kind and name, each with the words of its lines. */
export function readSections(texts: Texts): Map<string, string[][]> {
  const sections = new Map<string, string[][]>();
  let lines: string[][] = [];
  for (const line of (texts['deploy/haproxy.cfg'] ?? '').split('\n')) {
    const words = line
      .replace(/#.*$/, '')
      .split(/\s+/)
      .filter((word) => word !== '');
    if (words.length === 0) continue;
    if (/^\S/.test(line)) {
      lines = [];
      sections.set(words.join(' '), lines);
    } else lines.push(words);
  }
  return sections;
}

export function networksOf(service: Service): string[] {
  const { networks = [] } = service;
  return Array.isArray(networks) ? [...networks] : Object.keys(networks);
}

/** Services that this one waits for, and whether it can do without. */
export function dependenciesOf({ depends_on: named = [] }: Service): { name: string; isRequired: boolean }[] {
  if (Array.isArray(named)) return named.map((name: string) => ({ name, isRequired: true }));
  return Object.entries(named).map(([name, { required }]) => ({ name, isRequired: required !== false }));
}

/** The nodes, by service name. */
export function nodesOf({ services }: Compose): [string, Service][] {
  return Object.entries(services).filter(([, { command }]) => command?.[0] === 'tallyd');
}
