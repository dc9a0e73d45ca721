/** Records the rehearsals of a service's hosts as events. */
import type { RehearsalResult } from "../../control/host-status.ts";
import type { Recorder } from "./recorder.ts";

export class RehearsalEvents {
  readonly #recorder: Pick<Recorder, "recordEvent">;
  /** Time of each host's last rehearsal, by its own wall clock; 0: none. */
  readonly #rehearsedAt = new Map<string, number>();

  constructor(recorder: Pick<Recorder, "recordEvent">) {
    this.#recorder = recorder;
  }

  /** Records an event for each rehearsal that ended since this gateway first heard of the host. */
  heard(host: string, rehearsal: RehearsalResult | undefined): void {
    const before = this.#rehearsedAt.get(host);
    this.#rehearsedAt.set(host, rehearsal?.atMs ?? 0);
    if (before === undefined || rehearsal === undefined || rehearsal.atMs === before) return;
    if (rehearsal.ok)
      return this.#recorder.recordEvent(
        "info",
        "rehearsed",
        host,
        `the application was ready after ${Math.round(rehearsal.startMs ?? 0)} ms`,
      );
    this.#recorder.recordEvent(
      "warning",
      "rehearsal-failed",
      host,
      rehearsal.detail ?? "the application would not have served",
    );
  }

  forget(host: string): void {
    this.#rehearsedAt.delete(host);
  }
}
