import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { SETTINGS, variableOf } from './settings.ts';

describe('docs/operations.md', () => {
  it('lists every setting as the settings table has it, in its order', async () => {
    const text = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
    const rows = text.split('\n').filter((line) => line.startsWith('| `--'));
    const expected = SETTINGS.map(({ key, argument, meaning, default: value = '', otherwise = value, notInFile }) => {
      const flag = argument === undefined ? `--${key}` : `--${key} ${argument}`;
      const cells = [
        `\`${flag}\``,
        `\`${variableOf(key)}\``,
        notInFile === true ? '' : `\`${key}\``,
        otherwise,
        meaning,
      ];
      return `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |');
    });
    expect(rows).toEqual(expected);
  });
});
