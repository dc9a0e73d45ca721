/**
 * Keeps the results of the hosts' restore tests. Every gateway hears of each: row and event have an id that is the same
 * for all of them, so that each is one in the cluster.
 */
import type { RestoreTestResult } from "../../control/restore-test.ts";
import type { Clock } from "../../runtime/clock.ts";
import { putRestoreTest } from "../state/rows.ts";
import type { StateStore } from "../state/store.ts";
import type { Recorder } from "./recorder.ts";

/** A gateway without a database hears of tests that are long over: these are kept, and are no event. */
const newsMsMax = 10 * 60_000;

export interface RestoreTestResultsOptions {
  readonly service: string;
  readonly clock: Clock;
  readonly store: StateStore;
  readonly recorder: Pick<Recorder, "recordEvent">;
}

export class RestoreTestResults {
  readonly #options: RestoreTestResultsOptions;

  constructor(options: RestoreTestResultsOptions) {
    this.#options = options;
  }

  heard(host: string, result: RestoreTestResult): void {
    const { service, clock, store, recorder } = this.#options;
    const id = `${service}.${host}.${result.atMs}`;
    if (store.replica.get("restoreTests", id) !== undefined) return;
    store.write(putRestoreTest({ id, service, host, ...result }));
    if (clock.wallTime() - result.atMs - result.tookMs > newsMsMax) return;
    const { level, what } = eventOf[result.outcome];
    recorder.recordEvent(level, what, host, result.detail ?? inWords(result), `restore-test.${id}`);
  }
}

const eventOf = {
  passed: { level: "info", what: "restore-test-passed" },
  failed: { level: "error", what: "restore-test-failed" },
  skipped: { level: "warning", what: "restore-test-skipped" },
} as const;

const inWords = ({ bytes, position, tookMs }: RestoreTestResult): string =>
  `${bytes ?? 0} bytes restored up to position ${position ?? 0}, and found whole, in ${(tookMs / 1_000).toFixed(1)} s`;
