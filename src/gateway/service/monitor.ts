/**
 * Watches one host: keeps its status stream open and probes it, and reports to the state machine.
 *
 * The stream brings news at once, and its end is the fastest sign of a death. Probes run beside it at a fixed interval,
 * whether or not the last one was answered, so that a hung host is noticed after `timeout + interval * (fall - 1)` and
 * not after the sum of time-outs. The monitor decides nothing.
 */
import type { HostStatus } from "../../control/host-status.ts";
import type { FailoverEvent } from "../../core/failover/state.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { HostControl } from "../../control/host-control.ts";
import { withoutNulls } from "../../control/nulls.ts";

/** Pause before a stream that ended is reopened. */
const reconnectMs = 200;
/** The same pause after the host refused our secret: only an operator can fix that. */
const unauthorizedMs = 2_000;

export interface ProbeTimes {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

export interface MonitorOptions {
  readonly host: string;
  readonly client: HostControl;
  readonly clock: Clock;
  readonly probe: ProbeTimes;
  /** The value sent to the host with each probe (src/core/record-format.ts). */
  readonly recordFormat: () => number | undefined;
  /** A probe could not be made, because this machine lacks descriptors, ports or memory: no evidence about the host. */
  onShortage(why: string): void;
  /** The host began to refuse this gateway's secret. */
  onSecretRefused(why: string): void;
  /** Called in order, never from within the constructor. */
  send(event: FailoverEvent): void;
}

export class HostMonitor {
  readonly #options: MonitorOptions;
  readonly #stop = new AbortController();
  readonly #background = new BackgroundTasks();
  #probeTimes: ProbeTimes;
  #timer: Timer | undefined;
  #status: HostStatus | undefined;
  #warning: string | undefined;
  #secret: "taken" | "refused" | undefined;
  #isStreaming = false;
  #latencyMs: number | undefined;
  #clockAheadMs: number | undefined;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#probeTimes = options.probe;
  }

  /** The last whole status, for display; decisions use the reports. */
  get status(): HostStatus | undefined {
    return this.#status;
  }

  /** Why this host cannot be watched properly: a wrong secret, an answer that violates the contract. */
  get warning(): string | undefined {
    return this.#warning;
  }

  /** What the host said of this gateway's secret last; undefined: it did not answer. */
  get secret(): "taken" | "refused" | undefined {
    return this.#secret;
  }

  /** How long the last probe that was answered took; undefined: none was. */
  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  /** How far its wall clock was ahead of this machine's when it was last heard; undefined: it does not tell. */
  get clockAheadMs(): number | undefined {
    return this.#clockAheadMs;
  }

  get isStreaming(): boolean {
    return this.#isStreaming;
  }

  start(): void {
    this.#background.own(this.#keepStreaming());
    this.#tick();
  }

  /** New times apply from the next probe on. */
  retime(probe: ProbeTimes): void {
    this.#probeTimes = probe;
  }

  /** Probes at once, beside the regular probes. */
  probeNow(): void {
    this.#background.own(this.#probe());
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#stop.abort(new Error("the host is no longer watched"));
    await this.#background.settled();
  }

  #tick(): void {
    if (this.#stop.signal.aborted) return;
    this.probeNow();
    this.#timer = this.#options.clock.setTimer(this.#probeTimes.intervalMs, () => this.#tick());
  }

  async #probe(): Promise<void> {
    const { host, client, clock, recordFormat } = this.#options;
    const startedAt = clock.now();
    const answer = await client.status(this.#probeTimes.timeoutMs, this.#stop.signal, recordFormat());
    if (this.#stop.signal.aborted) return;
    // With certificates it may be this gateway's that is refused, which says so.
    if (answer.kind === "unauthorized" && /secret/.test(answer.message)) {
      if (this.#secret !== "refused") this.#options.onSecretRefused(answer.message);
      this.#secret = "refused";
    } else if (answer.kind !== "aborted" && answer.kind !== "no-evidence") this.#secret = undefined;
    switch (answer.kind) {
      case "ok":
        this.#latencyMs = clock.now() - startedAt;
        return this.#heard(answer.value, startedAt);
      case "aborted":
        return;
      case "unauthorized":
        this.#warning = answer.message;
        return;
      case "refused-by-host":
      case "invalid":
        this.#warning = answer.kind === "invalid" ? answer.message : "it refused to report its status";
        return this.#options.send({ kind: "probe-failed", host, cause: "invalid", startedAt });
      case "no-evidence":
        if (answer.isShortage) this.#options.onShortage(answer.message);
        return;
      case "refused":
      case "timeout":
      case "reset":
        return this.#options.send({ kind: "probe-failed", host, cause: answer.kind, startedAt });
    }
  }

  async #keepStreaming(): Promise<void> {
    const { host, client, clock, send } = this.#options;
    const signal = this.#stop.signal;
    while (!signal.aborted) {
      const end = await client.streamStatus((status) => {
        this.#isStreaming = true;
        this.#heard(status, undefined);
      }, signal);
      if (signal.aborted) return;
      if (this.#isStreaming) {
        this.#isStreaming = false;
        send({ kind: "stream-ended", host });
      }
      try {
        await clock.sleep(end.kind === "unauthorized" ? unauthorizedMs : reconnectMs, signal);
      } catch {
        return; // stopped while waiting
      }
    }
  }

  #heard(status: HostStatus, startedAt: number | undefined): void {
    this.#status = status;
    const { program } = status;
    this.#clockAheadMs = program === null ? undefined : program.wallTimeMs - this.#options.clock.wallTime();
    this.#warning = undefined;
    // A stream that was opened with the former secret says nothing of the present one.
    if (startedAt !== undefined) this.#secret = "taken";
    this.#options.send({ kind: "report", host: this.#options.host, report: withoutNulls(status), startedAt });
  }
}
