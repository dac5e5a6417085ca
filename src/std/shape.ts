/** Checks for values from outside: of single values, and of objects with exactly the given fields. */

export type Check = (value: unknown) => boolean;

export interface Shape {
  readonly required: Readonly<Record<string, Check>>;
  readonly optional: Readonly<Record<string, Check>>;
}

/** The first field that is missing, invalid or unexpected; undefined if all are valid. */
export function wrongField(value: object, { required, optional }: Shape): string | undefined {
  const fields = new Map<string, unknown>(Object.entries(value));
  for (const [name, check] of Object.entries(required)) if (!check(fields.get(name))) return name;
  for (const [name, field] of fields) {
    const check = Object.hasOwn(optional, name) ? optional[name] : undefined;
    if (!Object.hasOwn(required, name) && check?.(field) !== true) return name;
  }
  return undefined;
}

/** An object with these fields and no others. */
export function isOf(shape: Shape): Check {
  return (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && wrongField(value, shape) === undefined;
}

/** An array of such values. */
export function isListOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

/** A string of at most this many characters. */
export function isText(charactersMax: number): Check {
  return (value) => typeof value === 'string' && value.length <= charactersMax;
}

/** A string that matches this pattern. */
export function isForm(form: RegExp): Check {
  return (value) => typeof value === 'string' && form.test(value);
}

export function isWhole(min: number, max: number): Check {
  return (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
}

export function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean';
}
