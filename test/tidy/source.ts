// What the tidy rules look at: a file's path, text and, for code, its syntax tree. The tree comes from a real parser,
// so that a rule neither misses code nor stumbles over strings and comments that merely look like it.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ParseResult, parseSync, Visitor, type VisitorObject } from 'oxc-parser';

export interface Finding {
  readonly line: number;
  readonly complaint: string;
}

export interface Reference {
  readonly specifier: string;
  readonly line: number;
}

const NOT_OURS = new Set(['.git', 'node_modules', 'dist', 'packages/client/dist', 'data', 'coverage']);
const CODE = /\.(ts|mts|js|mjs)$/;

/** A file as the rules see it. `path` is relative to the repository, with `/`. */
export class Source {
  readonly path: string;
  readonly bytes: number;
  readonly text: string;
  #parsed: ParseResult | undefined;

  constructor(path: string, text: string, bytes = Buffer.byteLength(text)) {
    this.path = path;
    this.text = text;
    this.bytes = bytes;
  }

  get isCode(): boolean {
    return CODE.test(this.path);
  }

  get isTest(): boolean {
    return this.path.endsWith('.test.ts');
  }

  get lines(): number {
    return this.text.split('\n').length - (this.text.endsWith('\n') ? 1 : 0);
  }

  get syntax(): ParseResult {
    if (this.#parsed === undefined) {
      const parsed = parseSync(this.path, this.text);
      const error = parsed.errors[0];
      if (error !== undefined) throw new Error(`${this.path} does not parse: ${error.message}`);
      this.#parsed = parsed;
    }
    return this.#parsed;
  }

  visit(visitor: VisitorObject): void {
    new Visitor(visitor).visit(this.syntax.program);
  }

  /** The 1-based line of an offset. */
  lineAt(offset: number): number {
    let line = 1;
    for (let at = this.text.indexOf('\n'); at !== -1 && at < offset; at = this.text.indexOf('\n', at + 1)) line += 1;
    return line;
  }

  /** Every module that this one names: imports, re-exports, dynamic imports, types. */
  references(): Reference[] {
    const found: Reference[] = [];
    const add = (literal: { start: number; value?: unknown } | null | undefined) => {
      if (typeof literal?.value === 'string') {
        found.push({ specifier: literal.value, line: this.lineAt(literal.start) });
      }
    };
    this.visit({
      ImportDeclaration: (node) => add(node.source),
      ExportAllDeclaration: (node) => add(node.source),
      ExportNamedDeclaration: (node) => add(node.source),
      ImportExpression: (node) => add(node.source as { start: number; value?: unknown }),
      TSImportType: (node) => add(node.source),
    });
    return found;
  }
}

/** All files of the checkout at `root` that are ours to keep tidy. */
export function sourcesOf(root: string): Source[] {
  return pathsBelow(root, '').map((path) => {
    const bytes = statSync(join(root, path)).size;
    return new Source(path, readFileSync(join(root, path), 'utf8'), bytes);
  });
}

function pathsBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (NOT_OURS.has(path) || path.endsWith('.log')) return [];
    if (entry.isDirectory()) return pathsBelow(root, path);
    return entry.isFile() ? [path] : [];
  });
}
