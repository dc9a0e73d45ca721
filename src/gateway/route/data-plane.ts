/**
 * The client side of a gateway, for its control plane: listens, and has a route per service that is told where requests
 * go. It runs in this process (LocalDataPlane) or in worker processes (workers/worker-pool.ts).
 */
import { hostParty } from "../../control/channel/transcript.ts";
import type { ClusterTls } from "../../control/tls/cluster-tls.ts";
import { tlsConnect } from "../../control/tls/tls-connect.ts";
import type { ServiceConfig } from "../../config/types.ts";
import { firstByteMsOf, serviceMatcher, type ServiceMatcher } from "../../core/routing.ts";
import type { Exchange, Handling } from "../../http/upstream/exchange.ts";
import { Proxy } from "../../http/proxy/proxy.ts";
import { RequestNamer } from "../../http/proxy/request-namer.ts";
import { errorReply } from "../../http/server/local-reply.ts";
import type { CloseOptions, HttpServer } from "../../http/server/server.ts";
import { BodySpool } from "../../http/spool/body-spool.ts";
import { WholeAnswers } from "../../http/upstream/whole-answers.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { BoundedLog } from "../../runtime/bounded-log.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { systemRandom } from "../../runtime/random.ts";
import { Listener, forwardOptionsOf, httpLimitsOf, type DataPlaneSettings } from "./listener.ts";
import { hasSpareDescriptors } from "../../runtime/tcp/refusal.ts";
import { OwnShortage } from "./own-shortage.ts";
import type { RouteHooks, ServiceRoute } from "./service-route.ts";
import { routeMeasures, LocalRoute } from "./local-route.ts";

export interface WorkerStatus {
  readonly pid: number | undefined;
  readonly state: "starting" | "serving" | "waiting";
  readonly connections: number;
  /** Processes that ended before this one in its place. */
  readonly restarts: number;
}

export interface DataPlane {
  readonly port: number;
  readonly connections: number;
  /** Warnings for the operator, one sentence each. */
  readonly warnings: readonly string[];
  readonly workers: readonly WorkerStatus[];
  /** Descriptors of the listening sockets, to be duplicated for a process that takes over (`addressesOf`). */
  readonly descriptors: readonly number[];
  /** For embedding; undefined where the data plane is not in this process. */
  readonly server: HttpServer | undefined;
  /** Returns the route of a service that `settings` has, or will have at the next `follow`. */
  route(service: string, hooks: RouteHooks): ServiceRoute;
  /** The services or the settings have changed. */
  reconfigure(): void;
  /** `descriptors`: inherited listening sockets. Throws what Listener.listen throws. */
  listen(descriptors?: readonly number[]): Promise<void>;
  close(options: CloseOptions): Promise<void>;
}

export interface DataPlaneDeps {
  /** The settings in force. */
  readonly settings: () => DataPlaneSettings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** For connections to hosts. Undefined: in clear text. */
  readonly tls?: ClusterTls | undefined;
}

interface Served {
  readonly name: string;
  readonly match: ServiceConfig["match"];
  readonly proxy: Proxy;
}

export class LocalDataPlane implements DataPlane {
  readonly workers: readonly WorkerStatus[] = [];
  readonly #deps: DataPlaneDeps;
  readonly #refusals: BoundedLog;
  readonly #proxies = new Map<string, Proxy>();
  readonly #shortage: OwnShortage;
  readonly #wholeAnswers: WholeAnswers;
  readonly #spool: BodySpool;
  #match: ServiceMatcher<Served> = serviceMatcher<Served>([]);
  #data: Listener | undefined;

  constructor(deps: DataPlaneDeps) {
    this.#deps = deps;
    this.#refusals = new BoundedLog(deps.log, deps.clock);
    const { clock, settings } = deps;
    this.#wholeAnswers = new WholeAnswers({
      clock,
      get bytesMax() {
        return settings().answerWholeBytesMax;
      },
    });
    const { log, metrics } = deps;
    this.#spool = new BodySpool({
      ...{ clock, log, metrics, random: systemRandom },
      get bytesMax() {
        return settings().replaySpool.bytesMax;
      },
      get folder() {
        return settings().replaySpool.folder;
      },
    });
    this.#shortage = new OwnShortage(deps.clock, deps.metrics.counter("stead_own_shortages_total", {}));
  }

  get port(): number {
    return this.#data?.server.port ?? 0;
  }

  get connections(): number {
    return this.#data?.server.connections ?? 0;
  }

  get warnings(): readonly string[] {
    const own = [this.#shortage.warning, this.#spool.warning].filter((warning) => warning !== undefined);
    return [...(this.#data?.warnings ?? []), ...own];
  }

  get descriptors(): readonly number[] {
    return this.#data?.server.descriptors ?? [];
  }

  get server(): HttpServer | undefined {
    return this.#data?.server;
  }

  route(service: string, hooks: RouteHooks): LocalRoute {
    const { clock, settings, metrics, tls } = this.#deps;
    const hold = () => {
      const {
        hold: { requestsMax, bytesMax, timeMs },
        dataPlane: { releaseConcurrency },
      } = settings();
      return { requestsMax, bytesMax, waitMsMax: timeMs, releaseConcurrency };
    };
    const route = new LocalRoute({
      clock,
      limits: httpLimitsOf(settings()),
      hold,
      measures: routeMeasures(metrics, service),
      tcpTo: tls === undefined ? undefined : (host) => tlsConnect(tls, hostParty(service, host)),
    });
    this.#proxies.set(service, this.#proxy(service, route, hooks));
    return route;
  }

  reconfigure(): void {
    const services = this.#deps.settings().services;
    for (const name of [...this.#proxies.keys()])
      if (!services.some((service) => service.name === name)) this.#proxies.delete(name);
    const served = services.flatMap(({ name, match }) => {
      const proxy = this.#proxies.get(name);
      return proxy === undefined ? [] : [{ name, match, proxy }];
    });
    this.#match = serviceMatcher<Served>(served);
  }

  async listen(descriptors?: readonly number[]): Promise<void> {
    const { clock, log, settings, metrics } = this.#deps;
    this.#data = await Listener.listen(settings(), {
      clock,
      log,
      metrics,
      refusals: this.#refusals,
      spool: this.#spool,
      descriptors,
      onExchange: (exchange) => this.#onExchange(exchange),
    });
  }

  async close(options: CloseOptions): Promise<void> {
    await this.#data?.close(options);
    this.#refusals.close();
  }

  #onExchange(exchange: Exchange): Handling {
    const { headers, target } = exchange.request;
    const served = this.#match(headers.get("host") ?? "", target);
    if (served !== undefined) return served.proxy.handle(exchange);
    const why = "no service is configured for this host name and path";
    this.#refusals.warn("request refused", { client: exchange.remoteAddress, status: 404, code: "no_service", why });
    return exchange.respond(errorReply(404, "no_service", why, headers.get("accept")));
  }

  #proxy(service: string, route: LocalRoute, hooks: RouteHooks): Proxy {
    const { clock, settings, metrics } = this.#deps;
    const own = () => settings().services.find(({ name }) => name === service);
    const recorded = metrics.counter("stead_requests_recorded_total", { service });
    return new Proxy({
      route,
      clock,
      namer: new RequestNamer(
        systemRandom,
        () => (own()?.replayWrites ?? settings().replayWrites) === "named",
        () => own()?.isKeyed === true,
      ),
      get patienceMs() {
        return settings().hold.timeMs;
      },
      get againMax() {
        return settings().replayAgainMax;
      },
      page: () => settings().services.find(({ name }) => name === service)?.maintenance,
      forward: {
        ...forwardOptionsOf(settings()),
        wholeAnswers: this.#wholeAnswers,
        firstByteMs: (target) =>
          firstByteMsOf(settings().services.find(({ name }) => name === service)?.firstByte, target),
      },
      hooks: {
        onDone: (end, held, replays) => hooks.onDone(end, held, replays, 1),
        onRecorded: () => recorded.add(1),
        onTraced: hooks.onTraced === undefined ? undefined : (request) => hooks.onTraced?.(request),
        onRefused: ({ remoteAddress: client, requestId }, status, code, why) =>
          this.#refusals.warn("request not answered by the application", {
            service,
            client,
            request: requestId,
            status,
            code,
            why,
          }),
        onConnectionError: (upstream, cause) => {
          const host = route.host;
          if (host === undefined || route.current() !== upstream) return;
          if (hasSpareDescriptors()) hooks.onConnectionError(host, cause);
          else this.#shortage.add(`a request could not be sent to host ${host} (${cause})`);
        },
      },
    });
  }
}
