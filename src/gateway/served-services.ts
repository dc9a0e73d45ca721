/**
 * The services of this gateway: each with a route, a proxy and a state machine of its own, found by host name and path.
 *
 * They change when the configuration is read again. A service that stays keeps its route, its connections and its state;
 * one that goes takes no new requests at once, and those under way get the drain time to finish.
 */
import type { GatewayConfig, ServiceConfig } from "../config/types.ts";
import { heartbeatMs } from "../control/messages.ts";
import type { Failover, FailoverSettings } from "../core/failover-state.ts";
import { serviceMatcher, type ServiceMatcher } from "../core/routing.ts";
import { Proxy } from "../http/proxy.ts";
import type { BoundedLog } from "../runtime/bounded-log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { Background } from "./background.ts";
import { forwardOptionsOf, httpLimitsOf } from "./data-plane.ts";
import { Recorder } from "./recorder.ts";
import { ServiceRoute } from "./service-route.ts";
import { ServiceRuntime } from "./service.ts";
import type { StateStore } from "./state/store.ts";
import { Traffic } from "./traffic.ts";

export interface ServedService {
  readonly name: string;
  readonly match: ServiceConfig["match"];
  readonly runtime: ServiceRuntime;
  readonly proxy: Proxy;
}

export interface ServedServicesOptions {
  /** The configuration in force. */
  readonly config: () => GatewayConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly store: StateStore;
  readonly refusals: BoundedLog;
  /** A failover of a service was completed by this gateway. */
  onFailedOver(service: string, failover: Failover): void;
  /** Called after each turn of a service's state machine. */
  moved?(runtime: ServiceRuntime): void;
}

export class ServedServices {
  readonly #options: ServedServicesOptions;
  readonly #stop = new AbortController();
  readonly #retired = new Background();
  #all: readonly ServedService[] = [];
  #match: ServiceMatcher<ServedService> = serviceMatcher<ServedService>([]);

  constructor(options: ServedServicesOptions) {
    this.#options = options;
  }

  get runtimes(): readonly ServiceRuntime[] {
    return this.#all.map(({ runtime }) => runtime);
  }

  find(hostField: string, target: string): ServedService | undefined {
    return this.#match(hostField, target);
  }

  /** Makes it so that exactly the configured services are served; answers those that are new. */
  follow(): readonly ServiceRuntime[] {
    const config = this.#options.config();
    const before = new Map(this.#all.map((served) => [served.name, served]));
    const added: ServiceRuntime[] = [];
    this.#all = config.services.map((service) => {
      const known = before.get(service.name);
      before.delete(service.name);
      if (known === undefined) {
        const served = this.#serve(service);
        added.push(served.runtime);
        return served;
      }
      known.runtime.reconfigure(settingsOf(config, service), config.probe);
      return { ...known, match: service.match };
    });
    this.#match = serviceMatcher(this.#all);
    for (const { runtime } of before.values()) this.#retired.own(this.#retire(runtime, config.drainTimeoutMs));
    return added;
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("the gateway stops"));
    await Promise.all(this.runtimes.map((runtime) => runtime.stop()));
    await this.#retired.settled();
  }

  async #retire(runtime: ServiceRuntime, drainMs: number): Promise<void> {
    await runtime.retire();
    await this.#options.clock.sleep(drainMs, this.#stop.signal).catch(() => undefined); // the gateway stops meanwhile
    await runtime.stop();
  }

  #serve(service: ServiceConfig): ServedService {
    const { clock, log, store, config } = this.#options;
    const { id, secret, probe } = config();
    const traffic = new Traffic(clock);
    const hold = () => {
      const { hold: { requestsMax, bytesMax, timeMs }, dataPlane: { releaseConcurrency } } = config();
      return { requestsMax, bytesMax, waitMsMax: timeMs, releaseConcurrency };
    };
    const route = new ServiceRoute({ clock, limits: httpLimitsOf(config()), hold });
    const recorder = new Recorder({ gateway: id, service: service.name, clock, log, store });
    const runtime = new ServiceRuntime({
      settings: settingsOf(config(), service),
      ...{ secret, probe, clock, route, traffic, recorder },
      moved: (moved) => this.#options.moved?.(moved),
      onFailedOver: (failover) => this.#options.onFailedOver(service.name, failover),
    });
    const proxy = new Proxy({
      route,
      clock,
      get patienceMs() {
        return config().hold.timeMs;
      },
      forward: forwardOptionsOf(config()),
      hooks: {
        onDone: (end, held, replays) => traffic.ended(end, held, replays),
        onRefused: ({ remoteAddress: client, requestId }, status, code, why) => this.#options.refusals.warn("request not answered by the application", { service: service.name, client, request: requestId, status, code, why }),
        onConnectionError: (upstream, cause) => {
          const host = route.host;
          if (host !== null && route.current() === upstream) runtime.send({ kind: "data-error", host, cause });
        },
      },
    });
    return { name: service.name, match: service.match, runtime, proxy };
  }
}

function settingsOf(config: GatewayConfig, service: ServiceConfig): FailoverSettings {
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
  };
}
