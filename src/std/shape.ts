/** What values that come from outside must be: checks of one value each, and of objects with exactly such fields. */

export type Check = (value: unknown) => boolean;

export interface Shape {
  readonly required: Readonly<Record<string, Check>>;
  readonly optional: Readonly<Record<string, Check>>;
}

/** The first field that is missing, is not what it must be, or must not be there; undefined when all is right. */
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

/** A text, of so many characters at most. */
export function isText(charactersMax: number): Check {
  return (value) => typeof value === 'string' && value.length <= charactersMax;
}

/** A text of this form. */
export function isForm(form: RegExp): Check {
  return (value) => typeof value === 'string' && form.test(value);
}

export function isWhole(min: number, max: number): Check {
  return (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
}

export function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean';
}
