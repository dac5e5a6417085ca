/**
 * Detects that Redis may have lost confirmed writes.
 *
 * Every master has a replication id, which names the history of its data. It makes a new one when it starts and when it
 * is promoted from replica, which are the two ways by which writes get lost; so the ids of all masters identify the
 * history that a read saw. (A run id would miss a server that was master, replica and master again.) A slot that moves
 * between two masters changes none of them. Another master for some of the slots does, without any loss: a new term
 * then costs a round of re-assertion, which is harmless.
 */
import { StoreRefusal } from '../slot-store.ts';
import type { Call } from './call.ts';

const KEEPS_ALL = 'noeviction';

export class Lineage {
  /** Masters whose policy has been checked. */
  #known: ReadonlySet<string> = new Set();

  /**
   * The masters' replication ids, sorted, as of now. Checks the eviction policy of new masters.
   * @throws StoreRefusal if one of them evicts.
   */
  async read(call: Call): Promise<readonly string[]> {
    const infos = await call.sendToMasters(['INFO', 'replication'], verifyMasters);
    const ids = infos.map((info) => field(info, 'master_replid') ?? '');
    if (ids.some((id) => !this.#known.has(id))) {
      await checkPolicy(call);
      this.#known = new Set(ids);
    }
    return ids.sort();
  }

  /** Every master counts as new. */
  forget(): void {
    this.#known = new Set();
  }
}

function verifyMasters(infos: readonly unknown[]): void {
  if (infos.some((info) => field(info, 'role') !== 'master')) throw new Error('a server is a replica, not a master');
}

async function checkPolicy(call: Call): Promise<void> {
  for (const info of await call.sendToMasters(['INFO', 'memory'])) {
    const policy = field(info, 'maxmemory_policy');
    if (policy === KEEPS_ALL) continue;
    throw new StoreRefusal(
      `redis evicts keys when memory runs short (maxmemory-policy ${policy ?? 'unknown'}), which loses counts: ` +
        `set maxmemory-policy ${KEEPS_ALL} on every server, or give Tallyd a Redis of its own`,
    );
  }
}

function field(info: unknown, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(String(info))?.[1];
}
