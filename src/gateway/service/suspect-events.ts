/** Records as events which requests hosts set aside, and which they forward again. */
import type { KnownSuspect } from "../../core/suspects.ts";
import type { Recorder } from "./recorder.ts";

export class SuspectEvents {
  readonly #recorder: Pick<Recorder, "recordEvent">;
  /** Requests that hosts have set aside, by host. */
  readonly #suspects = new Map<string, ReadonlySet<string>>();

  constructor(recorder: Pick<Recorder, "recordEvent">) {
    this.#recorder = recorder;
  }

  /** Records an event for each request that a host has set aside since its last report. */
  heard(host: string, suspects: readonly KnownSuspect[]): void {
    const before = this.#suspects.get(host);
    const now = new Set(suspects.map(({ method, path }) => `${method} ${path}`));
    if (now.size === 0) this.#suspects.delete(host);
    else this.#suspects.set(host, now);
    for (const request of now)
      if (before?.has(request) !== true)
        this.#recorder.recordEvent(
          "warning",
          "suspect-request",
          host,
          `${request}: the application ended twice while such a request was in flight; it is set aside, and retried after a pause`,
        );
    for (const request of before ?? [])
      if (!now.has(request))
        this.#recorder.recordEvent("info", "suspect-cleared", host, `${request} is forwarded again`);
  }
}
