/** Finds hooks that have failed on hosts since they were last heard, each once. */
import type { HookRun } from "../../control/host-status.ts";

export class HookFailures {
  /** Time of the last run by host and hook, by the host's wall clock. */
  readonly #seen = new Map<string, ReadonlyMap<string, number>>();

  /** Returns the failures that are new. Those from before the host was first heard are not: another gateway told. */
  heard(host: string, runs: readonly HookRun[]): readonly HookRun[] {
    const before = this.#seen.get(host);
    this.#seen.set(host, new Map(runs.map(({ hook, atMs }) => [hook, atMs])));
    return before === undefined ? [] : runs.filter(({ hook, atMs, ok }) => !ok && before.get(hook) !== atMs);
  }

  forget(host: string): void {
    this.#seen.delete(host);
  }
}
