/**
 * Counter names on their way into a URL. Any byte travels percent-encoded, with one exception: the names `.` and `..`
 * are path segments that every URL parser removes, also as `%2e`, so they go as a query parameter or in a body.
 */
import { RefusedError } from './errors.ts';

const NAME_BYTES_MAX = 255;
const encoder = new TextEncoder();

/** @throws RefusedError invalid_name */
export function checkName(name: string): string {
  const isName = typeof name === 'string' && name !== '' && name.isWellFormed();
  if (!isName || name.length > NAME_BYTES_MAX || encoder.encode(name).length > NAME_BYTES_MAX) {
    throw new RefusedError('invalid_name', 'a counter name takes 1 to 255 bytes of valid UTF-8; choose another name');
  }
  return name;
}

/** Whether a URL path can carry the name. */
export function fitsPath(name: string): boolean {
  return name !== '.' && name !== '..';
}

/** The names of many counters as queries, each short enough for every server and proxy on the way. */
export function queriesOf(names: readonly string[], lengthMax: number): string[][] {
  const queries: string[][] = [];
  let length = lengthMax;
  for (const name of names) {
    const parameter = `name=${encodeURIComponent(checkName(name))}`;
    if (length + parameter.length + 1 > lengthMax) {
      queries.push([]);
      length = 0;
    }
    queries.at(-1)?.push(parameter);
    length += parameter.length + 1;
  }
  return queries;
}
