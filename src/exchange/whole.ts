/**
 * Whether the store has all that the running replicas know. It may go back in time (a restore, a failover); then each
 * replica sends again what it knows, and until all have done so, missing data may still arrive.
 *
 * Invariants:
 * - From the moment at which the store may have gone back until this replica and all that were seen to run before are
 *   through with it, `isWhole` is false: `asOf` stays where it was, and what is read meanwhile is a part.
 * - Our lease names the term under which our part is done. The lease of an earlier version names none, and is not
 *   waited for.
 * - No replica is waited for longer than the length of a lease without a renewal. A starting replica is not waited for:
 *   the store never had its leftovers, or still has them.
 * - Directories are waited for rather than replicas: a crashed replica's heir sends that replica's counts.
 */
import type { Host } from '../host/host.ts';
import type { Lease, ReplicaId, SlotStore } from '../store/slot-store.ts';
import { type LeaseDocument, readLease } from './lease.ts';
import type { LeaseWatch } from './membership.ts';

/** So many instead of one. */
const LOOKS_WHILE_WAITING = 25;
const RENEWALS = 2;

export interface WholeOptions {
  readonly store: SlotStore;
  readonly host: Host;
  readonly watch: LeaseWatch;
  /** So long without a renewal, and a lease has expired. */
  readonly patienceMs: number;
  /** Between two renewals of a lease. */
  readonly renewMs: number;
  /** Between two looks at the leases while nothing is waited for. */
  readonly lookMs: number;
  readonly replica: () => ReplicaId;
  /** The store's term; undefined before it was met. */
  readonly term: () => string | undefined;
  /** Whether all that is known here has been asserted to the store since it last went back, and confirmed. */
  readonly isReasserted: () => boolean;
  /** Records it in our lease. @throws StoreError */
  readonly announce: (term: string) => Promise<unknown>;
  /** Called when everything is there again. */
  readonly whole: () => void;
}

/** The result of examining a lease. */
type Standing = 'through' | 'open' | 'gone';

export class Whole {
  readonly #options: WholeOptions;
  /** How often it may have gone back. */
  #round = 0;
  /** Under this term our lease, as this replica, says that our part is done. */
  #announced: { readonly term: string; readonly replica: ReplicaId } | undefined;
  #isOwnDone = true;
  #areOthersDone = true;
  /** The leases have been looked at since it last went back. */
  #isSeen = false;
  /** Directories of others, and since when each has been waited for. */
  readonly #awaited = new Map<string, number>();
  /** Those that ran when the leases were last looked at, and when that was. */
  readonly #running = new Map<string, number>();
  /**
   * What leases were when the store was found to have lost ours: what they say of the term, which may be the same, is
   * out of date.
   */
  readonly #stale = new Map<ReplicaId, string>();
  #isLost = false;
  #isStopped = false;
  /** Ends the waiting of every caller. */
  readonly #waiting = new Set<() => void>();
  /** Then those who run have renewed their leases. */
  #shownAtMs = Number.NEGATIVE_INFINITY;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: WholeOptions) {
    this.#options = options;
  }

  get isWhole(): boolean {
    return this.#isOwnDone && this.#areOthersDone;
  }

  /** Changes when the store may have gone back: what was read before is then a part. */
  get round(): number {
    return this.#round;
  }

  /** The store has another term. */
  termChanged(): void {
    this.#isLost = false;
    this.#begin();
  }

  /** The store has not what it had confirmed. */
  lost(): void {
    this.#isLost = true;
    this.#begin();
  }

  /** Resolves to whether it is whole now, or before this moment by the monotonic clock. */
  async becomes(endMs: number): Promise<boolean> {
    if (this.isWhole || this.#isStopped) return this.isWhole;
    const { clock } = this.#options.host;
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(Math.max(0, endMs - clock.monotonicMs()), () => end());
      const end = (): void => {
        timer.cancel();
        this.#waiting.delete(end);
        resolve();
      };
      this.#waiting.add(end);
    });
    return this.isWhole;
  }

  /** Ends all waiting. */
  stop(): void {
    this.#isStopped = true;
    for (const end of this.#waiting) end();
  }

  /** Call repeatedly, even after a failure. @throws StoreError */
  async step(): Promise<void> {
    await this.#doOwnPart();
    const { host, lookMs } = this.#options;
    const pauseMs = this.#areOthersDone ? lookMs : lookMs / LOOKS_WHILE_WAITING;
    if (!this.#isSeen || host.clock.monotonicMs() - this.#lookedAtMs >= pauseMs) await this.#look();
  }

  #begin(): void {
    const nowMs = this.#options.host.clock.monotonicMs();
    this.#round++;
    this.#announced = undefined;
    this.#isOwnDone = false;
    this.#areOthersDone = false;
    // What lost our lease has lost those of others, which show again when they are renewed.
    this.#shownAtMs = this.#isLost ? nowMs + this.#options.renewMs * RENEWALS : nowMs;
    this.#isSeen = false;
    this.#stale.clear();
    for (const directory of this.#running.keys()) this.#awaited.set(directory, nowMs);
  }

  async #doOwnPart(): Promise<void> {
    const { isReasserted, announce } = this.#options;
    const [round, term, replica] = [this.#round, this.#options.term(), this.#options.replica()];
    const isAnnounced = this.#announced?.term === term && this.#announced?.replica === replica;
    if (term === undefined || isAnnounced || !isReasserted()) return;
    await announce(term);
    if (round !== this.#round) return;
    this.#announced = { term, replica };
    this.#end(() => {
      this.#isOwnDone = true;
    });
  }

  async #look(): Promise<void> {
    const { store, host, replica, patienceMs } = this.#options;
    const [round, sinceMs] = [this.#round, host.clock.monotonicMs()];
    const leases = await store.leases();
    if (round !== this.#round) return;
    const nowMs = host.clock.monotonicMs();
    const [through, open] = [new Set<string>(), new Set<string>()];
    for (const lease of leases) {
      const document = readLease(lease);
      if (document === undefined || lease.replica === replica()) continue;
      const { directory } = document;
      if (!this.#isSeen && this.#isLost) this.#stale.set(lease.replica, document.nonce);
      const standing = this.#standing(lease, document);
      if (standing === 'through') through.add(directory);
      if (standing === 'open') open.add(directory);
      if (standing === 'open' && this.#isBehind(document)) this.#await(directory, nowMs);
    }
    this.#isSeen = true;
    this.#lookedAtMs = nowMs;
    this.#end(() => {
      for (const [directory, awaitedAtMs] of this.#awaited) {
        const isOver = through.has(directory) || nowMs - awaitedAtMs >= patienceMs;
        if (!open.has(directory) && isOver) this.#awaited.delete(directory);
      }
      this.#areOthersDone = this.#awaited.size === 0 && sinceMs >= this.#shownAtMs;
    });
    this.#remember(leases, nowMs);
  }

  #standing(lease: Lease, { state, nonce, reasserted }: LeaseDocument): Standing {
    const { term, watch } = this.#options;
    const isExpired = watch.hasExpired(lease);
    if (state !== 'running' && state !== 'baton') return 'gone';
    const isStale = this.#stale.get(lease.replica) === nonce;
    if (reasserted === undefined || (reasserted === term() && !isStale)) return 'through';
    return state === 'running' && !isExpired ? 'open' : 'gone';
  }

  /**
   * Whether it ran before the store went back, also where nobody here has seen it then. By the clocks of both, for it
   * may be long dead.
   */
  #isBehind({ reasserted, at }: LeaseDocument): boolean {
    const { host, patienceMs } = this.#options;
    const isWaiting = !this.#isSeen || !this.isWhole;
    return isWaiting && reasserted !== '' && host.clock.nowMs() - at < patienceMs;
  }

  #await(directory: string, nowMs: number): void {
    if (!this.#awaited.has(directory)) this.#awaited.set(directory, nowMs);
  }

  /** Which directories run: those are waited for when the store goes back. */
  #remember(leases: readonly Lease[], nowMs: number): void {
    const { watch, replica, patienceMs } = this.#options;
    const stopped = new Set<string>();
    for (const lease of leases) {
      const { directory, state } = readLease(lease) ?? {};
      if (directory === undefined || lease.replica === replica()) continue;
      if (state === 'running' && !watch.hasExpired(lease)) this.#running.set(directory, nowMs);
      else stopped.add(directory);
    }
    for (const [directory, seenMs] of this.#running) {
      const isStopped = stopped.has(directory) && seenMs < nowMs;
      // Of one that the store has lost nothing is known.
      if (isStopped || nowMs - seenMs >= patienceMs) this.#running.delete(directory);
    }
  }

  #end(change: () => void): void {
    const wasWhole = this.isWhole;
    change();
    if (wasWhole || !this.isWhole) return;
    this.#options.whole();
    for (const end of this.#waiting) end();
  }
}
