/**
 * Stands in for the control API of a plain host: an ordinary HTTP server without stead, watched by the status of one
 * path. The same decisions thus route, hold and fail over between plain hosts; there is nothing to restore or to
 * promote.
 *
 * Limits of a plain host: its epochs live in this gateway's memory, so nothing fences a plain primary that was thought
 * dead (it may still receive requests by other routes), stead does not protect its data, and several gateways could not
 * agree about it. The configuration therefore refuses plain hosts together with peers, and mixed with others in one
 * service.
 *
 * A plain host's control address is written as `plain:URL/path` everywhere (registry, status): one string, one
 * identity. The cluster's secret plays no part there.
 */
import { request, type IncomingMessage } from "node:http";
import type { HostAnswer, StreamEnd } from "../../control/host-client.ts";
import { type HostStatus, untold } from "../../control/host-status.ts";
import { type CallFailure, judgeFailure } from "../../control/json-call.ts";
import type {
  CheckpointDone,
  DemoteEvent,
  DemoteRequest,
  PromoteEvent,
  PromoteRequest,
  RehearsalDone,
} from "../../control/host-api.ts";
import { plainPrefix } from "../../core/base-url.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { HostControl } from "../../control/host-control.ts";

export const isPlain = (controlUrl: string): boolean => controlUrl.startsWith(plainPrefix);

/** The primary among a service's plain hosts, in this gateway's memory: the substitute for the log. */
export class PlainEpochs {
  epoch = 0;
  host: string | undefined;

  claim(host: string, above: number): number {
    this.epoch = Math.max(this.epoch, above) + 1;
    this.host = host;
    return this.epoch;
  }

  vacate(host: string): void {
    if (this.host === host) this.host = undefined;
  }
}

export interface PlainHostOptions {
  readonly service: string;
  readonly host: string;
  /** `plain:http://address:port/health` */
  readonly controlUrl: string;
  readonly epochs: PlainEpochs;
  readonly clock: Clock;
}

export class PlainHost implements HostControl {
  readonly #options: PlainHostOptions;
  readonly #url: URL;
  #lastSeenAt = 0;

  constructor(options: PlainHostOptions) {
    this.#options = options;
    this.#url = new URL(options.controlUrl.slice(plainPrefix.length));
  }

  async status(timeoutMs: number, signal?: AbortSignal): Promise<HostAnswer<HostStatus>> {
    const health = await this.#health(timeoutMs, signal);
    if (health !== "well") return health;
    this.#lastSeenAt = this.#options.clock.now();
    return { kind: "ok", value: this.#status() };
  }

  /** A plain host has no stream: probes alone watch it. */
  streamStatus(_onStatus: (status: HostStatus) => void, signal: AbortSignal): Promise<StreamEnd> {
    const aborted: StreamEnd = { kind: "aborted", message: "aborted" };
    if (signal.aborted) return Promise.resolve(aborted);
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(aborted), { once: true }));
  }

  async promote(
    { epoch }: PromoteRequest,
    onEvent: (event: PromoteEvent) => void,
    signal: AbortSignal,
  ): Promise<StreamEnd> {
    const { epochs, host } = this.#options;
    if (epoch < epochs.epoch) {
      onEvent({ kind: "refused", refusal: { kind: "epoch_taken", epoch: epochs.epoch, host: epochs.host ?? "" } });
      return { kind: "ended" };
    }
    const health = await this.#health(promoteTimeoutMs, signal);
    if (health !== "well") onEvent({ kind: "refused", refusal: { kind: "not_ready", reason: health.message } });
    else onEvent({ kind: "done", epoch: epochs.claim(host, epoch), position: 0, dataUrl: this.#url.origin });
    return { kind: "ended" };
  }

  demote(_request: DemoteRequest, onEvent: (event: DemoteEvent) => void): Promise<StreamEnd> {
    this.#options.epochs.vacate(this.#options.host);
    onEvent({ kind: "done", position: 0 });
    return Promise.resolve({ kind: "ended" });
  }

  checkpoint(): Promise<HostAnswer<CheckpointDone>> {
    return Promise.resolve({
      kind: "refused-by-host",
      refusal: { kind: "not_ready", reason: "a plain host has no vault" },
    });
  }

  rehearse(): Promise<HostAnswer<RehearsalDone>> {
    return Promise.resolve({
      kind: "refused-by-host",
      refusal: { kind: "not_ready", reason: "a plain host starts its application by itself" },
    });
  }

  clearSuspects(): Promise<HostAnswer<HostStatus>> {
    return Promise.resolve({
      kind: "refused-by-host",
      refusal: { kind: "not_ready", reason: "a plain host sets nothing aside" },
    });
  }

  #status(): HostStatus {
    const { service, host, controlUrl, epochs, clock } = this.#options;
    return {
      version: 1,
      service,
      host,
      instance: "plain",
      role: epochs.host === host ? "primary" : "secondary",
      reason: null,
      epoch: epochs.epoch,
      epochHost: epochs.host ?? null,
      position: 0,
      lastRecordAgeMs: epochs.host === undefined ? null : clock.now() - this.#lastSeenAt,
      vaultSilentMs: null,
      clockMs: null,
      handover: null,
      vacated: epochs.epoch > 0 && epochs.host === undefined,
      dataUrl: this.#url.origin,
      controlUrl,
      priority: 0,
      nofailover: false,
      leaseMs: 0,
      checkpoint: null,
      setAside: [],
      ...untold,
      warnings: [],
    };
  }

  #health(timeoutMs: number, signal: AbortSignal | undefined): Promise<"well" | CallFailure> {
    return new Promise((resolve) => {
      const call = request(this.#url, {
        agent: false,
        headers: { "User-Agent": "stead-health" },
        ...(signal === undefined ? {} : { signal }),
      });
      const timer = this.#options.clock.setTimer(timeoutMs, () =>
        settle({ kind: "timeout", message: `${this.#url.href} did not answer in ${timeoutMs} ms` }),
      );
      const settle = (result: "well" | CallFailure): void => {
        timer.cancel();
        resolve(result);
        call.destroy();
      };
      call.on("response", (response: IncomingMessage) => {
        const status = response.statusCode ?? 0;
        settle(
          status >= 200 && status < 400 ? "well" : { kind: "invalid", message: `${this.#url.href} answered ${status}` },
        );
      });
      call.on("error", (error: NodeJS.ErrnoException) => {
        if (signal?.aborted === true) settle({ kind: "aborted", message: "aborted" });
        else judgeFailure(error, this.#url, settle);
      });
      call.end();
    });
  }
}

const promoteTimeoutMs = 2_000;
