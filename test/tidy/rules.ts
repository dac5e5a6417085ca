// The rules of the house, each with what to do instead. A rule without a sample that it refuses is worth nothing:
// tidy.test.ts has one for each.

import { posix } from 'node:path';
import type { Node } from 'oxc-parser';
import { wrongImports } from './layers.ts';
import type { Finding, Source } from './source.ts';
import { doubles } from './words.ts';

export type Rule = (source: Source) => Finding[];

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const COLUMNS_MAX = 120;
const LITERAL = /(['"`/])(?:\\.|(?!\1).)+\1/g;
const FILE_BYTES_MAX = 1024 * 1024;
const BANNED_NAMES = ['utils', 'util', 'common', 'types', 'core', 'helpers', 'helper', 'misc', 'index'];
const BANNED_ENDINGS = /-(utils?|helpers?|misc)$/;
const PUT_OFF = /\b(TODO|FIXME|XXX|HACK)\b/;
const SILENCED = /@ts-(ignore|nocheck)/;
// In pieces, so that this file passes its own rule.
const MACHINE_PATH = new RegExp(`(?<![\\w.\\-/}*])/(${['work', 'root'].join('|')})/`);
const PUBLIC_REGISTRY = 'https://registry.npmjs.org/';
const TEST_FUNCTIONS = ['it', 'test', 'describe', 'suite', 'bench'];
const UNFINISHED_TESTS = ['only', 'skip', 'todo'];

export const rules = {
  'imports point downward': wrongImports,
  'files are short': longFile,
  'functions are short': longFunctions,
  'lines are short': longLines,
  'nothing lies loose in src': looseFile,
  'names say what a file is about': bannedName,
  'no default export': defaultExports,
  'no enum': enums,
  'no any': anys,
  'nothing is put off in a comment': putOff,
  'the type checker is not silenced': silenced,
  'every test runs': unfinishedTests,
  'relative imports end with .ts': untypedImports,
  'no error is swallowed': swallowedErrors,
  'no path of a machine': machinePaths,
  'the lock names the public registry only': privateRegistry,
  'no big file': bigFile,
  'pages say where the command comes from': unexplainedCommand,
  'a word has one meaning': doubles,
  'tests draw from one source': ownChance,
} satisfies Record<string, Rule>;

function longFile(source: Source): Finding[] {
  if (!source.isCode || source.lines <= FILE_LINES_MAX) return [];
  return [{ line: FILE_LINES_MAX, complaint: `${source.lines} lines: split it by concept, ${FILE_LINES_MAX} at most` }];
}

function longFunctions(source: Source): Finding[] {
  if (!source.path.startsWith('src/') || !source.isCode || source.isTest) return [];
  const found: Finding[] = [];
  const measure = (node: { start: number; end: number; body?: unknown }) => {
    const line = source.lineAt(node.start);
    const lines = source.lineAt(node.end) - line + 1;
    if (lines <= FUNCTION_LINES_MAX) return;
    found.push({
      line,
      complaint: `a function of ${lines} lines: give its steps names, ${FUNCTION_LINES_MAX} at most`,
    });
  };
  source.visit({
    FunctionDeclaration: measure,
    FunctionExpression: measure,
    ArrowFunctionExpression: measure,
  });
  return found;
}

/** Tables, examples in a page, and literals stay in one piece: they are searched for, and read by machines. */
function longLines(source: Source): Finding[] {
  if (!/\.(md|sh|ya?ml)$/.test(source.path) && !source.isCode) return [];
  const isPage = source.path.endsWith('.md');
  let isExample = false;
  const templates = source.isCode ? templatesIn(source) : [];
  const isLiteral = (line: number, text: string): boolean =>
    source.isCode &&
    !/^\s*(\*|\/\/|\/\*)/.test(text) &&
    (text.replace(LITERAL, '').length <= COLUMNS_MAX || templates.some(([from, to]) => line >= from && line <= to));
  return source.text.split('\n').flatMap((text, at) => {
    if (isPage && text.trimStart().startsWith('```')) isExample = !isExample;
    if ([...text].length <= COLUMNS_MAX || isExample || (isPage && text.trimStart().startsWith('|'))) return [];
    if (isPage && text.startsWith('    ')) return [];
    if (isLiteral(at + 1, text)) return [];
    return [{ line: at + 1, complaint: `a line of ${[...text].length} columns: wrap it, ${COLUMNS_MAX} at most` }];
  });
}

/** The first and last lines of templates that are longer than one. */
function templatesIn(source: Source): [from: number, to: number][] {
  const found: [number, number][] = [];
  source.visit({
    TemplateLiteral: ({ start, end }) => {
      const [from, to] = [source.lineAt(start), source.lineAt(end)];
      if (to > from) found.push([from, to]);
    },
  });
  return found;
}

function looseFile(source: Source): Finding[] {
  if (!/^src\/[^/]+$/.test(source.path)) return [];
  return [{ line: 1, complaint: 'loose in src/: put it into the folder of its layer' }];
}

function bannedName(source: Source): Finding[] {
  if (!/^(src|test|bench)\//.test(source.path)) return [];
  return source.path.split('/').flatMap((part) => {
    const stem = part.split('.')[0] ?? part;
    if (!BANNED_NAMES.includes(stem.toLowerCase()) && !BANNED_ENDINGS.test(stem)) return [];
    return [{ line: 1, complaint: `'${part}' names no concept: call it after the one thing that is in it` }];
  });
}

function defaultExports(source: Source): Finding[] {
  if (!source.isCode || posix.basename(source.path).includes('.config.')) return [];
  return source.syntax.module.staticExports
    .filter(({ entries }) =>
      entries.some(({ exportName }) => exportName.kind === 'Default' || exportName.name === 'default'),
    )
    .map(({ start }) => ({ line: source.lineAt(start), complaint: 'a default export: export it by its name' }));
}

function enums(source: Source): Finding[] {
  if (!source.isCode) return [];
  const complaint = "an enum: use a union of string literals, or 'as const' data";
  return nodes(source, 'TSEnumDeclaration', complaint);
}

function anys(source: Source): Finding[] {
  if (!source.isCode) return [];
  return nodes(source, 'TSAnyKeyword', "the type any: name the type, or take 'unknown' and narrow it");
}

function nodes(source: Source, kind: 'TSEnumDeclaration' | 'TSAnyKeyword', complaint: string): Finding[] {
  const found: Finding[] = [];
  source.visit({ [kind]: (node: Node) => found.push({ line: source.lineAt(node.start), complaint }) });
  return found;
}

function putOff(source: Source): Finding[] {
  return comments(source, PUT_OFF, 'work put off: do it now, or open an issue and say in the comment how it is today');
}

function silenced(source: Source): Finding[] {
  return comments(source, SILENCED, 'a silenced checker: fix the type, or use @ts-expect-error with its reason');
}

function comments(source: Source, pattern: RegExp, complaint: string): Finding[] {
  if (!source.isCode) return [];
  return source.syntax.comments
    .filter(({ value }) => pattern.test(value))
    .map(({ start }) => ({ line: source.lineAt(start), complaint }));
}

function unfinishedTests(source: Source): Finding[] {
  if (!source.isCode) return [];
  const found: Finding[] = [];
  source.visit({
    MemberExpression: (node) => {
      const { property } = node;
      if (property.type !== 'Identifier' || !UNFINISHED_TESTS.includes(property.name)) return;
      let root: Node = node.object;
      while (root.type === 'MemberExpression') root = root.object;
      if (root.type !== 'Identifier' || !TEST_FUNCTIONS.includes(root.name)) return;
      const complaint = `.${property.name}: let the test run, or say with .skipIf(condition) what it needs`;
      found.push({ line: source.lineAt(property.start), complaint });
    },
  });
  return found;
}

function untypedImports(source: Source): Finding[] {
  if (!/\.m?ts$/.test(source.path)) return [];
  return source
    .references()
    .filter(({ specifier }) => specifier.startsWith('.') && !specifier.endsWith('.ts'))
    .map(({ specifier, line }) => ({
      line,
      complaint: `'${specifier}': name the source file with its .ts, the compiler rewrites it`,
    }));
}

/** An empty handler is refused unless a comment inside says why there is nothing to do. */
function swallowedErrors(source: Source): Finding[] {
  if (!source.path.startsWith('src/') || !source.isCode) return [];
  const found: Finding[] = [];
  const refuseEmpty = (body: { start: number; end: number; body: readonly unknown[] }) => {
    const explained = source.syntax.comments.some(({ start, end }) => start > body.start && end < body.end);
    if (body.body.length > 0 || explained) return;
    const complaint = 'a swallowed error: handle it, or say in a comment inside why there is nothing to do';
    found.push({ line: source.lineAt(body.start), complaint });
  };
  source.visit({
    CatchClause: (node) => refuseEmpty(node.body),
    CallExpression: (node) => {
      const { callee } = node;
      if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier') return;
      const handler = node.arguments[callee.property.name === 'then' ? 1 : 0];
      if (!['catch', 'then'].includes(callee.property.name) || handler === undefined) return;
      if (handler.type !== 'ArrowFunctionExpression' && handler.type !== 'FunctionExpression') return;
      if (handler.body?.type === 'BlockStatement') refuseEmpty(handler.body);
      else if (handler.body?.type === 'Identifier' && handler.body.name === 'undefined') {
        refuseEmpty({ start: handler.start, end: handler.end, body: [] });
      }
    },
  });
  return found;
}

function machinePaths(source: Source): Finding[] {
  return source.text.split('\n').flatMap((text, at) => {
    if (!MACHINE_PATH.test(text)) return [];
    return [{ line: at + 1, complaint: 'a path of one machine: make it relative, or take it from an option' }];
  });
}

function privateRegistry(source: Source): Finding[] {
  if (posix.basename(source.path) !== 'package-lock.json') return [];
  return source.text.split('\n').flatMap((text, at) => {
    const isElsewhere = text.includes('"resolved": "http') && !text.includes(`"${PUBLIC_REGISTRY}`);
    if (!isElsewhere) return [];
    return [
      { line: at + 1, complaint: `a registry of one machine: write the lock with omit-lockfile-registry-resolved` },
    ];
  });
}

function unexplainedCommand(source: Source): Finding[] {
  if (!/^docs\/[^/]+\.md$/.test(source.path) || source.text.includes('(../README.md#installing)')) return [];
  const scripts = source.text.match(/^```sh\n[\s\S]*?^```$/gm) ?? [];
  if (!scripts.some((script) => /(^|[|(]) *tallyd [a-z]/m.test(script))) return [];
  return [{ line: 1, complaint: 'uses `tallyd`: link to ../README.md#installing, which puts it on the path' }];
}

function ownChance(source: Source): Finding[] {
  const isSource = ['test/seed.ts', 'test/property.ts'].includes(source.path);
  if (!/^(src|test)\//.test(source.path) || !source.isCode || isSource) return [];
  return source.references().flatMap(({ specifier, line }) => {
    if (specifier !== 'fast-check') return [];
    return [{ line, complaint: "'fast-check' without the seed: import fc from test/property.ts" }];
  });
}

function bigFile(source: Source): Finding[] {
  if (source.bytes <= FILE_BYTES_MAX) return [];
  return [{ line: 1, complaint: `${source.bytes} bytes: generate it, or keep it outside of the repository` }];
}
