/**
 * The services of this gateway, each with a route in the data plane (plane.ts) and its own state machine.
 *
 * They change when the configuration is reloaded. A service that stays keeps its route, its connections and its state;
 * a removed one takes no new requests at once, and those in progress get the drain time to finish.
 */
import type { GatewayConfig, ServiceConfig } from "../../config/types.ts";
import { heartbeatMs } from "../../control/host-api.ts";
import type { Failover } from "../../core/failover/state.ts";
import type { Rules } from "../../core/rules.ts";
import type { TracedRequest } from "../../http/proxy/request-trace.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { HostControl } from "../../control/host-control.ts";
import { OwnShortage } from "../route/own-shortage.ts";
import type { DataPlane } from "../route/data-plane.ts";
import { failoversOf } from "./failover-history.ts";
import { Recorder } from "./recorder.ts";
import { RestoreTestResults } from "./restore-test-results.ts";
import { ServiceRuntime } from "./service.ts";
import type { StateStore } from "../state/store.ts";
import { Traffic } from "../route/traffic.ts";
import type { FailoverSettings } from "../../core/failover/settings.ts";

/** What the control plane needs of a configuration. */
export type ControlConfig = Pick<
  GatewayConfig,
  "id" | "adminUrl" | "peers" | "services" | "probe" | "drainTimeoutMs" | "notify" | "cluster" | "traces"
>;

export interface ServedServicesOptions {
  /** The configuration in force. */
  readonly config: () => ControlConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: StateStore;
  readonly plane: Pick<DataPlane, "route" | "reconfigure">;
  /** The control API of a host of a service. */
  readonly control: (controlUrl: string, service: string, host: string) => HostControl;
  readonly rules?: Rules | undefined;
  /** Undefined: spans go nowhere. */
  readonly onTraced?: ((service: string, request: TracedRequest) => void) | undefined;
  /** A failover of a service was completed by this gateway. */
  onFailedOver(service: string, failover: Failover): void;
  /** Called after each turn of a service's state machine. */
  moved?(runtime: ServiceRuntime): void;
}

export class ServedServices {
  readonly #options: ServedServicesOptions;
  readonly #stop = new AbortController();
  readonly #retired = new BackgroundTasks();
  readonly shortage: OwnShortage;
  #all: readonly ServiceRuntime[] = [];

  constructor(options: ServedServicesOptions) {
    this.#options = options;
    this.shortage = new OwnShortage(options.clock, options.metrics.counter("stead_own_shortages_total", {}));
  }

  get runtimes(): readonly ServiceRuntime[] {
    return this.#all;
  }

  /** Serves exactly the configured services; returns the new ones. */
  reconfigure(): readonly ServiceRuntime[] {
    const { plane } = this.#options;
    const config = this.#options.config();
    const before = new Map(this.#all.map((runtime) => [runtime.name, runtime]));
    const added: ServiceRuntime[] = [];
    this.#all = config.services.map((service) => {
      const known = before.get(service.name);
      before.delete(service.name);
      if (known !== undefined) {
        known.reconfigure(settingsOf(config, service), config.probe);
        return known;
      }
      const runtime = this.#serve(service);
      added.push(runtime);
      return runtime;
    });
    plane.reconfigure();
    for (const runtime of before.values()) this.#retired.own(this.#drainAndClose(runtime, config.drainTimeoutMs));
    return added;
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error("the gateway is stopping"));
    await Promise.all(this.runtimes.map((runtime) => runtime.close()));
    await this.#retired.settled();
  }

  async #drainAndClose(runtime: ServiceRuntime, drainMs: number): Promise<void> {
    await runtime.drain();
    await this.#options.clock.sleep(drainMs, this.#stop.signal).catch(() => undefined); // the gateway is stopping meanwhile
    await runtime.close();
  }

  #serve(service: ServiceConfig): ServiceRuntime {
    const { clock, log, metrics, store, config, plane, control, onTraced } = this.#options;
    const { id, probe } = config();
    const traffic = new Traffic(clock);
    const route = plane.route(service.name, {
      onDone: (end, held, replays, count) => traffic.ended(end, held, replays, count),
      onTraced: onTraced === undefined ? undefined : (request) => onTraced(service.name, request),
      onConnectionError: (host, cause) => runtime.send({ kind: "data-error", host, cause }),
    });
    const recorder = new Recorder({ gateway: id, service: service.name, clock, log, metrics, store });
    const restoreTests = new RestoreTestResults({ service: service.name, clock, store, recorder });
    const runtime = new ServiceRuntime({
      settings: settingsOf(config(), service),
      control: (controlUrl, host) => control(controlUrl, service.name, host),
      ...{ probe, clock, route, traffic, recorder, shortage: this.shortage },
      rules: this.#options.rules,
      failovers: () => failoversOf(store, service.name),
      onRestoreTest: (host, result) => restoreTests.heard(host, result),
      moved: (moved) => this.#options.moved?.(moved),
      onFailedOver: (failover) => this.#options.onFailedOver(service.name, failover),
    });
    return runtime;
  }
}

function settingsOf(config: ControlConfig, service: ServiceConfig): FailoverSettings {
  const { intervalMs, timeoutMs, fall, rise } = config.probe;
  return {
    gateway: config.id,
    service: service.name,
    fall,
    rise,
    agreeWaitMs: 150,
    staggerMs: 50,
    viewFreshMs: 2_500,
    staleMs: intervalMs * fall + timeoutMs + heartbeatMs,
    streamAliveMs: heartbeatMs * 3,
    awaitMs: 1_000,
    electWaitMs: 1_000,
    retryMs: 1_000,
    claimMs: 5_000,
    startMs: 30_000,
    demoteMs: 15_000,
  };
}
