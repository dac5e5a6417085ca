/** Validates options. Otherwise a misspelt option would silently change what is counted. */

const CALL = ['timeoutMs', 'signal'];
const UPDATE = [...CALL, 'idempotencyKey'];
const BOUNDS = ['floor', 'ceiling', 'saturate', 'ttlSeconds', 'ttlIfNone'];
const INCREMENT = [...UPDATE, ...BOUNDS];

const KNOWN = {
  client: ['url', 'secret', 'timeoutMs', 'fetch'],
  call: CALL,
  update: UPDATE,
  increment: INCREMENT,
  adjust: [...INCREMENT, 'subtract'],
  set: [...UPDATE, 'ttlSeconds'],
  entry: ['name', 'by', ...BOUNDS, 'id', 'at'],
  batch: [...UPDATE, 'atomic'],
  chunk: [...CALL, 'atomic', 'after', 'places'],
  list: [...CALL, 'match', 'pageSize', 'onOnlyHeld'],
} as const;

const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** @returns the options. @throws TypeError unless they are an object with only known options. */
export function checkOptions<T extends object>(options: T, kind: keyof typeof KNOWN): T {
  const known: readonly string[] = KNOWN[kind];
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`options are an object with ${known.join(', ')}, not ${JSON.stringify(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new TypeError(`unknown option '${name}'; there are ${known.join(', ')}`);
  }
  return options;
}

export function checkTimeout(timeoutMs: number): number {
  if (timeoutMs > 0 && timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs;
  throw new TypeError(`timeoutMs must be a number above 0 and at most ${TIMEOUT_MS_MAX}, not ${timeoutMs}`);
}

export function wholeSeconds(seconds: number | undefined): number | undefined {
  if (seconds === undefined || (Number.isSafeInteger(seconds) && seconds > 0)) return seconds;
  throw new TypeError(`ttlSeconds must be a positive whole number, not ${seconds}`);
}

export function checkSecret(secret: string): string {
  if (/^[\x21-\x7e]+$/.test(secret)) return secret;
  throw new TypeError('the secret must be printable ASCII without blanks, and not empty');
}

/** @returns the address without a slash at its end, so that paths can be appended. */
export function baseUrlOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`the url must be like http://127.0.0.1:7070, not ${JSON.stringify(text)}`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new TypeError('the url must have no user, password, query or fragment; give the secret as `secret`');
  }
  return url.href.replace(/\/+$/, '');
}
