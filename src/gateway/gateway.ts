/**
 * One gateway, whole: registry and memory (state/), a state machine per service, the data plane and the admin listener.
 *
 * Order at start: what the database remembers is routed to first (static stability), then hosts are watched, then the
 * listeners open. Nothing waits for the database after that.
 */
import { serve, type ServerType } from "@hono/node-server";
import type { AddressInfo } from "node:net";
import type { GatewayConfig, ServiceConfig } from "../config/types.ts";
import { heartbeatMs } from "../control/messages.ts";
import type { ClusterStatus, HostList } from "../control/gateway-api.ts";
import type { FailoverSettings } from "../core/failover-state.ts";
import { serviceMatcher, type ServiceMatcher } from "../core/routing.ts";
import type { Exchange } from "../http/exchange.ts";
import { Proxy } from "../http/proxy.ts";
import { refusal } from "../http/refusal.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { createAdminApp, type AdminTarget } from "./admin.ts";
import { serviceStatus } from "./cluster-status.ts";
import { DataPlane, forwardOptionsOf, httpLimitsOf } from "./data-plane.ts";
import { Recorder } from "./recorder.ts";
import { Registry } from "./registry.ts";
import { ServiceRoute } from "./service-route.ts";
import { ServiceRuntime } from "./service.ts";
import { putGateway, putService } from "./state/rows.ts";
import { SqlQueries } from "./state/sql-queries.ts";
import type { ReaderAnswer, ReaderRequest } from "./state/sql-reader.ts";
import { StateStore, type Remembered } from "./state/store.ts";
import { Traffic } from "./traffic.ts";

export interface GatewayDeps {
  readonly clock: Clock;
  /** Program and arguments of the SQL reader process (state/sql-reader.ts); the database's path is added. */
  readonly sqlReader: readonly [string, ...string[]];
  readonly log: Log;
}

interface Served {
  readonly name: string;
  readonly match: ServiceConfig["match"];
  readonly runtime: ServiceRuntime;
  readonly proxy: Proxy;
}

export class Gateway implements AdminTarget {
  readonly #config: GatewayConfig;
  readonly #deps: GatewayDeps;
  readonly #store: StateStore;
  readonly #queries: SqlQueries;
  readonly #registry: Registry;
  readonly #served: readonly Served[];
  readonly #match: ServiceMatcher<Served>;
  readonly #startedAtMs: number;
  readonly #startedAt: number;
  #data: DataPlane | null = null;
  #admin: ServerType | null = null;

  /** Throws `ListenError` when an address cannot be used; a database that cannot be used is shown in the status instead. */
  static async start(config: GatewayConfig, deps: GatewayDeps): Promise<Gateway> {
    const store = new StateStore({ path: config.databasePath, gateway: config.id, clock: deps.clock });
    const gateway = new Gateway(config, deps, store, await store.open());
    try {
      await gateway.#listen();
    } catch (error) {
      await gateway.stop(0);
      throw error;
    }
    return gateway;
  }

  private constructor(config: GatewayConfig, deps: GatewayDeps, store: StateStore, remembered: Remembered) {
    this.#config = config;
    this.#deps = deps;
    this.#store = store;
    this.#startedAtMs = Math.floor(deps.clock.wallTime());
    this.#startedAt = deps.clock.now();
    this.#queries = new SqlQueries({ command: deps.sqlReader, path: config.databasePath, clock: deps.clock });
    this.#registry = new Registry(store, remembered, config.services);
    store.write(putGateway({ id: config.id, adminUrl: config.adminUrl, startedAtMs: this.#startedAtMs, deleted: false }));
    this.#served = config.services.map((service) => this.#serve(service));
    this.#match = serviceMatcher(this.#served);
    for (const { runtime } of this.#served) this.#begin(runtime, remembered);
  }

  get secret(): string {
    return this.#config.secret;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get port(): number {
    return this.#data?.server.port ?? 0;
  }

  get adminPort(): number {
    return (this.#admin?.address() as AddressInfo | null)?.port ?? 0;
  }

  services(): readonly ServiceRuntime[] {
    return this.#served.map(({ runtime }) => runtime);
  }

  status(): ClusterStatus {
    const { clock } = this.#deps;
    const { id, databasePath, adminUrl } = this.#config;
    const defects = this.services().flatMap(({ name, defect }) => (defect === null ? [] : [`service ${name}: ${defect}`]));
    const { trouble, queued, dropped } = this.#store;
    return {
      version: 1,
      gateway: id,
      startedAtMs: this.#startedAtMs,
      uptimeMs: clock.now() - this.#startedAt,
      troubles: trouble === null ? defects : [...defects, trouble],
      database: { path: databasePath, trouble, queued, dropped },
      connections: this.#data?.server.connections ?? 0,
      gateways: [{ id, adminUrl, self: true }],
      services: this.services().map((service) => serviceStatus(service, clock.now())),
    };
  }

  hostList(): HostList {
    return { hosts: this.#registry.all().map((entry) => ({ ...entry })) };
  }

  addHost(host: { service: string; id: string; controlUrl: string; priority: number | null; nofailover: boolean | null }): void {
    this.#registry.put(host);
    this.#apply(host.service);
  }

  removeHost(service: string, host: string): boolean {
    const removed = this.#registry.remove(service, host);
    if (removed) this.#apply(service);
    return removed;
  }

  setPaused(service: ServiceRuntime, paused: boolean): void {
    const config = this.#config.services.find(({ name }) => name === service.name);
    this.#store.write(putService({ name: service.name, matchHost: config?.match.host ?? null, matchPath: config?.match.path ?? null, paused }));
  }

  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer> {
    return this.#queries.query(request, timeoutMs);
  }

  /** Stops taking connections, finishes requests within `drainMs`, writes what waits, and ends. */
  async stop(drainMs: number): Promise<void> {
    await this.#data?.close(drainMs);
    const admin = this.#admin;
    if (admin !== null) {
      if ("closeAllConnections" in admin) admin.closeAllConnections();
      await new Promise<void>((resolve) => admin.close(() => resolve()));
    }
    await Promise.all(this.services().map((service) => service.stop()));
    this.#queries.close();
    await this.#store.close();
  }

  #serve(service: ServiceConfig): Served {
    const { clock, log } = this.#deps;
    const { id, hold, secret, probe } = this.#config;
    const traffic = new Traffic(clock);
    const route = new ServiceRoute({
      clock,
      limits: httpLimitsOf(this.#config),
      hold: { requestsMax: hold.requestsMax, bytesMax: hold.bytesMax, waitMsMax: hold.timeMs, releaseConcurrency: this.#config.dataPlane.releaseConcurrency },
    });
    const recorder = new Recorder({ gateway: id, service: service.name, clock, log, store: this.#store });
    const runtime = new ServiceRuntime({ settings: settingsOf(this.#config, service), secret, probe, clock, route, traffic, recorder });
    const proxy = new Proxy({
      route,
      clock,
      patienceMs: hold.timeMs,
      forward: forwardOptionsOf(this.#config),
      hooks: {
        onDone: (end, held, replays) => traffic.ended(end, held, replays),
        onConnectionError: (upstream, cause) => {
          const host = route.host;
          if (host !== null && route.current() === upstream) runtime.send({ kind: "data-error", host, cause });
        },
      },
    });
    return { name: service.name, match: service.match, runtime, proxy };
  }

  #begin(runtime: ServiceRuntime, remembered: Remembered): void {
    const paused = remembered.services.find(({ name }) => name === runtime.name)?.paused ?? false;
    this.setPaused(runtime, paused);
    if (paused) runtime.send({ kind: "command", id: "start", command: { kind: "pause" } });
    const epoch = remembered.epochs.find(({ service }) => service === runtime.name);
    // Registered before the recall: what is remembered of an unknown host would look like a host that nobody watches.
    this.#apply(runtime.name);
    if (epoch !== undefined) runtime.send({ kind: "recall", ...epoch });
  }

  #apply(service: string): void {
    const runtime = this.services().find(({ name }) => name === service);
    runtime?.register(this.#registry.of(service));
  }

  async #listen(): Promise<void> {
    const { adminListen } = this.#config;
    const { clock, log } = this.#deps;
    this.#data = await DataPlane.listen(this.#config, { clock, log, onExchange: (exchange) => this.#onExchange(exchange) });
    this.#admin = await listenAdmin(createAdminApp(this), adminListen.host, adminListen.port);
  }

  /** The gateway's own paths and the Hono app's catch-all join here (reserved prefix first, then services by match). */
  async #onExchange(exchange: Exchange): Promise<void> {
    const { headers, target } = exchange.request;
    const served = this.#match(headers.get("host") ?? "", target);
    if (served !== undefined) return served.proxy.handle(exchange);
    await exchange.respond(refusal(404, "no_service", "no service is configured for this host name and path", headers.get("accept")));
  }
}

function listenAdmin(app: ReturnType<typeof createAdminApp>, hostname: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname, port });
    server.once("listening", () => resolve(server));
    server.once("error", reject);
  });
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
