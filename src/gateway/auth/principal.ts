/**
 * The sender of commands, and which of them it may send. Every reader of a door asks it before a command goes to the
 * service. Today there is one secret: a caller that has shown it may do everything, any other caller nothing.
 */
import type { Secret } from './secret.ts';

export interface Principal {
  /** It may send every command on every counter, so a reader need not ask for each. */
  readonly mayAll: boolean;
  /** @param command the door's name for it; `name`: its counter, if it has one and the reader knows it. */
  may(command: string, name?: string): boolean;
}

/** Has shown the secret, or no secret is set. */
export const TRUSTED: Principal = Object.freeze({ mayAll: true, may: () => true });
export const STRANGER: Principal = Object.freeze({ mayAll: false, may: () => false });

/** The principal for a shown secret. @param shown undefined: nothing yet. */
export function principalOf(secret: Secret | undefined, shown: string | Uint8Array | undefined): Principal {
  if (secret === undefined) return TRUSTED;
  return shown !== undefined && secret.matches(shown) ? TRUSTED : STRANGER;
}
