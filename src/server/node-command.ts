/**
 * `tallyd node list` and `tallyd node retire`: the replicas of a region, as its store knows them. They query the store
 * itself, because a dead node does not answer.
 */
import { type LeaseDocument, readLease } from '../exchange/lease.ts';
import { retire } from '../exchange/retire.ts';
import { type Lease, type SlotStore, StoreError, StoreRefusal } from '../store/slot-store.ts';
import { host } from './open-engine.ts';
import { LEASE_MS } from './open-region.ts';
import { CALL_MS, openStore, parseStoreUrl } from './open-store.ts';
import { ValueError } from './setting-values.ts';
import { ExitCode, StartError } from './start-error.ts';

export interface NodeOptions {
  readonly store?: string;
  readonly json?: boolean;
  /** Also those that are folded. */
  readonly all?: boolean;
}

/** Lists the replicas. @throws StartError */
export async function nodeList(options: NodeOptions): Promise<ExitCode> {
  const leases = await withStore(options, (store) => store.leases());
  const shown = leases
    .flatMap((lease) => {
      const document = readLease(lease);
      return document === undefined ? [] : [{ lease, document }];
    })
    .filter(({ document }) => options.all === true || document.state !== 'folded')
    .sort((a, b) => b.document.at - a.document.at);
  const lines = shown.map(({ lease, document }) =>
    options.json === true ? toJson(lease, document) : toText(lease, document),
  );
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  return ExitCode.done;
}

/** Folds the slots of a replica that will not come back. @throws StartError */
export async function nodeRetire(replica: string, options: NodeOptions): Promise<ExitCode> {
  if (!/^[0-9a-f]{32}$/.test(replica)) {
    throw new StartError('a replica is 32 hexadecimal digits, as tallyd node list shows them', {
      exitCode: ExitCode.usage,
    });
  }
  const patienceMs = LEASE_MS + 2 * CALL_MS;
  process.stderr.write(`watching its lease for ${Math.ceil(patienceMs / 1000)} s ...\n`);
  const outcome = await withStore(options, (store) => retire(store, host, replica, patienceMs));
  if (outcome === 'unknown') throw new StartError('the store knows no such replica: see tallyd node list');
  if (outcome === 'alive')
    throw new StartError('the replica is alive: it renews its lease. Stop it first; nothing was changed');
  const { counters } = outcome;
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ replica, counters })}\n` : `retired, ${counters} counters folded\n`,
  );
  return ExitCode.done;
}

async function withStore<T>({ store: given }: NodeOptions, use: (store: SlotStore) => Promise<T>): Promise<T> {
  const store = await openStore(urlOf(given ?? process.env['TALLYD_STORE']));
  try {
    await store.identity();
    return await use(store);
  } catch (error) {
    if (!(error instanceof StoreError || error instanceof StoreRefusal)) throw error;
    throw new StartError(`store: ${error.message}`, { cause: error });
  } finally {
    await store.close();
  }
}

function urlOf(given: string | undefined): string {
  if (given === undefined || given === '') {
    throw new StartError('name the store with --store or TALLYD_STORE', { exitCode: ExitCode.usage });
  }
  try {
    return parseStoreUrl(given);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new StartError(`--store: ${error.message}`, { exitCode: ExitCode.usage });
  }
}

/**
 * Values of a line: the replica, its state, when it last renewed its lease, its directory's id, host, HTTP address,
 * directory.
 */
function toText({ replica }: Lease, { state, at, directory, place }: LeaseDocument): string {
  const where = [place?.host, place?.http, place?.path].map((value) => value ?? '-');
  return [replica, state, new Date(at).toISOString(), directory, ...where].join('\t');
}

function toJson({ replica }: Lease, { state, at, directory, through, place }: LeaseDocument): string {
  return JSON.stringify({
    replica,
    state,
    renewedAt: new Date(at).toISOString(),
    directory,
    confirmedThrough: through,
    host: place?.host,
    http: place?.http,
    resp: place?.resp,
    path: place?.path,
  });
}
