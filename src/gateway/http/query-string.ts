/**
 * The query string, read strictly: no guess where the encoding is wrong, since a guessed name is another counter.
 */

/** What a parameter is called that could not be decoded: no route takes it, so the request is refused. */
export const UNDECODABLE = '%';

const NO_PARAMETERS: Readonly<Record<string, never>> = Object.freeze(Object.create(null));

/** @returns the parameters; one that is given more than once as array. Never throws: the router could not bear it. */
export function parseQuery(text: string): Record<string, string | string[]> {
  if (text === '') return NO_PARAMETERS;
  const parameters: Record<string, string | string[]> = Object.create(null);
  for (const part of text.split('&')) {
    if (part === '') continue;
    const split = part.indexOf('=');
    const name = decode(split < 0 ? part : part.slice(0, split));
    const value = decode(split < 0 ? '' : part.slice(split + 1));
    if (name === undefined || value === undefined) {
      parameters[UNDECODABLE] = part;
      continue;
    }
    const before = parameters[name];
    if (before === undefined) parameters[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else parameters[name] = [before, value];
  }
  return parameters;
}

function decode(text: string): string | undefined {
  if (!text.includes('%') && !text.includes('+')) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
