/**
 * One gateway, whole: registry and memory (state/), a state machine per service, the data plane and the admin listener.
 *
 * Order at start: what the database remembers is routed to first (static stability), then hosts are watched, then the
 * listeners open. Nothing waits for the database after that.
 */
import { serve, type ServerType } from "@hono/node-server";
import type { AddressInfo } from "node:net";
import type { GatewayConfig, ServiceConfig } from "../config/types.ts";
import type { ClusterStatus, ConfigReport, HostList } from "../control/gateway-api.ts";
import { gatewaySettings, hostKey, restartKeys, serviceSettings } from "../config/settings.ts";
import type { Failover } from "../core/failover-state.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { createAdminApp, type AdminTarget } from "./admin.ts";
import { serviceStatus } from "./cluster-status.ts";
import { ConfigurationState } from "./configuration-state.ts";
import { LocalPlane, type Plane } from "./plane.ts";
import { createProxyApp } from "./proxy-app.ts";
import { Peers } from "./peers/peers.ts";
import { Registry } from "./registry.ts";
import { ServedServices } from "./served-services.ts";
import type { ServiceRuntime } from "./service.ts";
import { putService } from "./state/rows.ts";
import type { ReplicatedRow } from "../core/replication-row.ts";
import { fromValues } from "./state/replication-tables.ts";
import type { hosts as hostsTable, services as servicesTable } from "./state/schema.ts";
import { SqlQueries } from "./state/sql-queries.ts";
import type { ReaderAnswer, ReaderRequest } from "./state/sql-reader.ts";
import { StateStore, type Remembered } from "./state/store.ts";
import { WorkerPool } from "./workers/worker-pool.ts";

export interface GatewayDeps {
  readonly clock: Clock;
  /** Program and arguments of the SQL reader process (state/sql-reader.ts); the database's path is added. */
  readonly sqlReader: readonly [string, ...string[]];
  /** Program and arguments of a worker process (workers/worker.ts); needed when the configuration has more than one. */
  readonly worker?: readonly [string, ...string[]];
  readonly log: Log;
  /** Where the configuration came from. */
  readonly configFile?: string;
}

export type ReloadOutcome = { readonly kind: "applied" } | { readonly kind: "refused"; readonly why: string };

export class Gateway implements AdminTarget {
  #config: GatewayConfig;
  readonly #deps: GatewayDeps;
  readonly #store: StateStore;
  readonly #queries: SqlQueries;
  readonly #registry: Registry;
  readonly #served: ServedServices;
  readonly #plane: Plane;
  readonly configuration: ConfigurationState;
  readonly peers: Peers;
  readonly #startedAtMs: number;
  readonly #startedAt: number;
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
    const { id, adminUrl, secret, peers: seeds } = config;
    this.peers = new Peers({ id, adminUrl, secret, seeds, clock: deps.clock, log: deps.log, store, services: () => this.services() });
    this.peers.register(this.#startedAtMs);
    store.onWrite = (row) => this.peers.wrote(row);
    store.onApplied = (rows) => this.#onApplied(rows);
    this.configuration = new ConfigurationState(deps.configFile ?? null, deps.clock);
    const { clock, log } = deps;
    this.#plane = this.#makePlane();
    this.#served = new ServedServices({
      ...{ clock, log, store, plane: this.#plane },
      config: () => this.#config,
      onFailedOver: (service, failover) => this.#onFailedOver(service, failover),
      moved: (moved) => this.peers.moved(moved),
    });
    this.#follow(remembered);
  }

  get secret(): string {
    return this.#config.secret;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get port(): number {
    return this.#plane.port;
  }

  get adminPort(): number {
    return (this.#admin?.address() as AddressInfo | null)?.port ?? 0;
  }

  /** This gateway's data plane as a Hono app, to be served or embedded beside its own listener. */
  proxyApp(clientOf: Parameters<typeof createProxyApp>[1]): ReturnType<typeof createProxyApp> {
    if (this.#plane.server === null) throw new Error("the gateway's data plane does not listen yet, or is in workers of its own");
    return createProxyApp(this.#plane.server, clientOf);
  }

  services(): readonly ServiceRuntime[] {
    return this.#served.runtimes;
  }

  status(): ClusterStatus {
    const { clock } = this.#deps;
    const { id, databasePath } = this.#config;
    const defects = this.services().flatMap(({ name, defect }) => (defect === null ? [] : [`service ${name}: ${defect}`]));
    const { trouble, notices, queued, dropped } = this.#store;
    return {
      version: 1,
      gateway: id,
      startedAtMs: this.#startedAtMs,
      uptimeMs: clock.now() - this.#startedAt,
      troubles: [...defects, ...(trouble === null ? [] : [trouble]), ...notices, ...this.peers.troubles, ...(this.configuration.trouble === null ? [] : [this.configuration.trouble]), ...this.#plane.troubles],
      configuration: this.configuration.status,
      database: { path: databasePath, trouble, queued, dropped },
      connections: this.#plane.connections,
      workers: this.#plane.workers.map((worker) => ({ ...worker })),
      gateways: this.peers.status().map((each) => ({ ...each })),
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

  changeHost(service: string, host: string, change: { readonly priority?: number | null | undefined; readonly nofailover?: boolean | null | undefined }): boolean {
    const known = this.#registry.find(service, host);
    if (known === undefined) return false;
    const { priority = known.priority, nofailover = known.nofailover } = change;
    this.addHost({ service, id: host, controlUrl: known.controlUrl, priority, nofailover });
    return true;
  }

  configReport(): ConfigReport {
    const services = this.#config.services.map((service) => ({ ...service, hosts: this.#registry.of(service.name) }));
    const atRunTime = services.flatMap(({ name, hosts }) => [...hosts.filter(({ source }) => source === "operator").map(({ id }) => id), ...this.#registry.removed(name)].map((id) => hostKey(name, id)));
    return {
      configuration: this.configuration.status,
      settings: { ...gatewaySettings(this.#config), ...serviceSettings(services) },
      decidedAtRunTime: atRunTime,
    };
  }

  removeHost(service: string, host: string): boolean {
    const removed = this.#registry.remove(service, host);
    if (removed) this.#apply(service);
    return removed;
  }

  /** Takes over another configuration as a whole, without touching a connection; or refuses it, and nothing changes. */
  reload(config: GatewayConfig): ReloadOutcome {
    const restart = restartKeys(this.#config, config);
    if (restart.length > 0) {
      const why = `${restart.join(", ")} cannot change while the gateway runs: restart it`;
      this.refuseReload(why);
      return { kind: "refused", why };
    }
    const before = this.#config.services;
    this.#config = config;
    this.#registry.reconfigure(config.services);
    this.#follow(null);
    for (const { name, match } of config.services) {
      const old = before.find((service) => service.name === name);
      if (old === undefined || (old.match.host === match.host && old.match.path === match.path)) continue;
      const runtime = this.services().find((service) => service.name === name);
      this.#writeService(name, match, runtime?.state.automation.kind === "paused", false);
    }
    this.configuration.applied();
    return { kind: "applied" };
  }

  /** A configuration that cannot even be read; the one before stays in force. */
  refuseReload(why: string): void {
    this.configuration.refuse(why);
  }

  setPaused(service: ServiceRuntime, paused: boolean): void {
    const config = this.#config.services.find(({ name }) => name === service.name);
    this.#writeService(service.name, config?.match ?? { host: null, path: null }, paused, false);
  }

  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer> {
    return this.#queries.query(request, timeoutMs);
  }

  /** Stops taking connections, finishes requests within `drainMs`, writes what waits, and ends. */
  async stop(drainMs: number): Promise<void> {
    await this.#plane.close({ drainMs });
    const admin = this.#admin;
    if (admin !== null) {
      if ("closeAllConnections" in admin) admin.closeAllConnections();
      await new Promise<void>((resolve) => admin.close(() => resolve()));
    }
    await this.peers.stop();
    await this.#served.stop();
    this.#queries.close();
    await this.#store.close();
  }

  /** Serves what the configuration names; `remembered` is what the database knew at the start. */
  #follow(remembered: Remembered | null): void {
    const added = this.#served.follow();
    // Before anything else: a gateway with peers must never count itself as all of them.
    for (const runtime of added) runtime.send({ kind: "gateways", ids: this.peers.registered });
    for (const runtime of added) this.#begin(runtime, remembered);
    for (const runtime of this.services()) if (!added.includes(runtime)) this.#apply(runtime.name);
  }

  /** With manual rejoin the failed host leaves the registry, so that it takes part again only when an operator says so. */
  #onFailedOver(service: string, failover: Failover): void {
    const { from, to, kind } = failover;
    if (this.#config.services.find(({ name }) => name === service)?.rejoin !== "manual") return;
    if (from === null || from === to || kind === "switchover" || kind === "first") return;
    const runtime = this.services().find(({ name }) => name === service);
    if (runtime === undefined || !this.removeHost(service, from)) return;
    runtime.recorder.note("warning", "host-removed", from, `it failed, and rejoin is manual: look at it, then \`stead hosts add ${from} URL\``);
  }

  #begin(runtime: ServiceRuntime, remembered: Remembered | null): void {
    const known = remembered?.services.find(({ name }) => name === runtime.name);
    const paused = known?.paused ?? false;
    const config = this.#config.services.find(({ name }) => name === runtime.name);
    this.#writeService(runtime.name, config?.match ?? { host: null, path: null }, paused, known === undefined);
    if (paused) runtime.send({ kind: "command", id: "start", command: { kind: "pause" } });
    const epoch = remembered?.epochs.find(({ service }) => service === runtime.name);
    // Registered before the recall: what is remembered of an unknown host would look like a host that nobody watches.
    this.#apply(runtime.name);
    if (epoch !== undefined) runtime.send({ kind: "recall", ...epoch });
  }

  /** `assumed`: nobody has said that it is not paused; a peer may know better. */
  #writeService(name: string, match: ServiceConfig["match"], paused: boolean, assumed: boolean): void {
    this.#store.write(putService({ name, matchHost: match.host, matchPath: match.path, paused }, assumed));
  }

  /** Rows that came from peers: what this gateway acts upon changes at once. */
  #onApplied(rows: readonly ReplicatedRow[]): void {
    const changed = new Set<string>();
    for (const row of rows) {
      if (row.table === "hosts") {
        this.#registry.heard(fromValues<typeof hostsTable.$inferSelect>(row));
        changed.add(String(row.values["service"]));
      }
      if (row.table === "services") this.#heardService(fromValues<typeof servicesTable.$inferSelect>(row));
    }
    for (const service of changed) this.#apply(service);
    if (rows.some(({ table }) => table === "gateways")) this.peers.refresh();
  }

  #heardService({ name, paused, deleted }: typeof servicesTable.$inferSelect): void {
    const runtime = this.services().find((service) => service.name === name);
    if (runtime === undefined || deleted || paused === (runtime.state.automation.kind === "paused")) return;
    runtime.send({ kind: "command", id: "peer", command: { kind: paused ? "pause" : "resume" } });
  }

  #apply(service: string): void {
    const runtime = this.services().find(({ name }) => name === service);
    runtime?.register(this.#registry.of(service));
  }

  async #listen(): Promise<void> {
    const { adminListen } = this.#config;
    await this.#plane.listen();
    this.#admin = await listenAdmin(createAdminApp(this), adminListen.host, adminListen.port);
    this.peers.start();
  }

  #makePlane(): Plane {
    const { clock, log, worker } = this.#deps;
    const settings = (): GatewayConfig => this.#config;
    const count = this.#config.workers;
    if (count === 1) return new LocalPlane({ settings, clock, log });
    if (worker === undefined) throw new Error("more than one worker, and no command to start them");
    const onLost = (detail: string): void => {
      for (const { recorder } of this.services()) recorder.note("warning", "worker-lost", null, detail);
    };
    return new WorkerPool({ settings, clock, log, count, command: worker, drainMs: () => this.#config.drainTimeoutMs, onLost });
  }
}

function listenAdmin(app: ReturnType<typeof createAdminApp>, hostname: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname, port, overrideGlobalObjects: false });
    server.once("listening", () => resolve(server));
    server.once("error", reject);
  });
}
