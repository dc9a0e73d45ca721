/**
 * Responses that wait until commits are settled which a log has and its index does not (`CaptureSource.unfinished`).
 * They wait for those that were found when they arrived, not for later ones, on which they cannot rest.
 */
import { type Deferred, newDeferred } from "../../runtime/deferred.ts";

export type SettlingCommits = readonly { readonly isSettled: boolean }[];

interface Waiting {
  readonly commits: SettlingCommits;
  readonly waiters: Deferred;
}

export class UnsettledWaiters {
  #waiting: Waiting[] = [];

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Returns a promise that resolves when these commits are settled; undefined if there are none. */
  add(commits: SettlingCommits | undefined): Promise<void> | undefined {
    if (commits === undefined || commits.length === 0) return undefined;
    const waiters = newDeferred();
    this.#waiting.push({ commits, waiters });
    return waiters.promise;
  }

  /** Resolves waiters when these commits are settled: at once if they are. */
  resolveAfter(commits: SettlingCommits, waiters: Deferred): void {
    if (commits.every(({ isSettled }) => isSettled)) waiters.resolve();
    else this.#waiting.push({ commits, waiters });
  }

  /** Releases those whose commits are all settled. */
  release(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ commits }) => commits.some(({ isSettled }) => !isSettled));
    for (const { commits, waiters } of waiting) if (commits.every(({ isSettled }) => isSettled)) waiters.resolve();
  }

  reject(error: Error): void {
    for (const { waiters } of this.#waiting.splice(0)) waiters.reject(error);
  }
}
