/**
 * Who sends commands, and which of them it may send. Every reader of a door asks here before a command goes to the
 * service. Today there is one secret: a caller that has shown it may do everything, any other nothing.
 */
import type { Secret } from './secret.ts';

export interface Principal {
  /** It may send every command on every counter, so that a reader need not ask for each. */
  readonly mayAll: boolean;
  /** @param command as the door calls it; `name`: its counter, where it has one and the reader knows it. */
  may(command: string, name?: string): boolean;
}

/** Has shown the secret, or there is none. */
export const TRUSTED: Principal = Object.freeze({ mayAll: true, may: () => true });
export const STRANGER: Principal = Object.freeze({ mayAll: false, may: () => false });

/** Who has shown this. @param shown undefined: nothing yet. */
export function principalOf(secret: Secret | undefined, shown: string | Uint8Array | undefined): Principal {
  if (secret === undefined) return TRUSTED;
  return shown !== undefined && secret.matches(shown) ? TRUSTED : STRANGER;
}
