// The rules that no single file can break: they look at all files of the checkout together.

import { posix } from 'node:path';
import type { Source } from './source.ts';

/** Where, and what is wrong, as `path:line: complaint`. */
export type CheckoutRule = (sources: readonly Source[]) => string[];

type Imports = Map<string, ReadonlyMap<string, number>>;

export const checkoutRules = {
  'no circle between files, nor between their types': circles,
  'comments name files that exist': lostFiles,
} satisfies Record<string, CheckoutRule>;

/** Files in a circle can only be understood, tested and moved as a whole. */
function circles(sources: readonly Source[]): string[] {
  const imports: Imports = new Map(
    sources.filter(({ isCode }) => isCode).map((source) => [source.path, importsOf(source)]),
  );
  dropTrees(imports);
  return [...imports].flatMap(([path, targets]) =>
    [...targets].flatMap(([target, line]) => {
      const way = wayBetween(target, path, imports);
      if (way === undefined) return [];
      return `${path}:${line}: a circle, ${[path, ...way].join(' -> ')}: move what both need into a file of its own`;
    }),
  );
}

/** The files that it imports, each with a line where it does. */
function importsOf(source: Source): Map<string, number> {
  const inside = source.references().filter(({ specifier }) => specifier.startsWith('.'));
  return new Map(inside.map(({ specifier, line }) => [posix.join(posix.dirname(source.path), specifier), line]));
}

/**
 * Drops files that import none of those that are left, as long as there are any: only circles and what leads to them
 * stay.
 */
function dropTrees(imports: Imports): void {
  const isTree = (targets: ReadonlyMap<string, number>): boolean => ![...targets.keys()].some((to) => imports.has(to));
  for (let before = -1; before !== imports.size; ) {
    before = imports.size;
    for (const [path, targets] of imports) if (isTree(targets)) imports.delete(path);
  }
}

/** The shortest way along imports, both ends included. */
function wayBetween(from: string, to: string, imports: Imports): string[] | undefined {
  const cameFrom = new Map<string, string | undefined>([[from, undefined]]);
  for (const path of cameFrom.keys()) {
    if (path === to) {
      const way: string[] = [];
      for (let at: string | undefined = path; at !== undefined; at = cameFrom.get(at)) way.unshift(at);
      return way;
    }
    for (const next of imports.get(path)?.keys() ?? []) if (!cameFrom.has(next)) cameFrom.set(next, path);
  }
  return undefined;
}

/** A file as comments name it: with its ending, and with as much of its path as is needed. */
const FILE_NAME = /(?<![\w.*{}/-])[\w./-]*[\w-]\.(ts|mts|mjs|js|md|sh)\b(?![\w*{}/])/g;
/** What looks like a file and is none. */
const NO_FILES = ['Node.js', 'V8.js'];

function lostFiles(sources: readonly Source[]): string[] {
  const endings = new Set(
    sources.flatMap(({ path }) => path.split('/').map((_, at, parts) => parts.slice(at).join('/'))),
  );
  return sources.flatMap((source) => {
    if (!source.isCode) return [];
    return source.syntax.comments.flatMap(({ value, start }) =>
      [...value.matchAll(FILE_NAME)].flatMap(({ 0: name }) => {
        const path = posix.normalize(name);
        if (NO_FILES.includes(name) || path.startsWith('dist/') || endings.has(path.replace(/^(\.\.\/)+/, '')))
          return [];
        const complaint = `the comment names '${name}', which is not there: name the file that took its place`;
        return `${source.path}:${source.lineAt(start)}: ${complaint}`;
      }),
    );
  });
}
