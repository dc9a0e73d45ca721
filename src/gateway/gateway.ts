/**
 * A whole gateway: registry and memory (state/), a state machine per service, the data plane and the admin listener.
 *
 * Order at start: route to what the database remembers (static stability), then watch the hosts, then open the
 * listeners. Nothing waits for the database after that.
 */
import { gatewaySettings, hostKey, restartKeys, serviceSettings } from "../config/settings.ts";
import { ClusterSecrets } from "../config/cluster-secrets.ts";
import type { GatewayConfig } from "../config/types.ts";
import type { ConfigReport } from "../control/config-api.ts";
import type { ClusterStatus, HostList } from "../control/gateway-api.ts";
import { defaultHostClientLimits, HostClient } from "../control/host-client.ts";
import { ChannelClient } from "../control/channel/client.ts";
import { ClusterTls } from "../control/tls/cluster-tls.ts";
import { Keyring } from "../control/channel/keyring.ts";
import { ChannelServer } from "../control/channel/server.ts";
import { StrangerLog } from "../control/channel/stranger-log.ts";
import { secretStatus } from "../control/secret-status.ts";
import { hostParty, type Party } from "../control/channel/transcript.ts";
import {
  type Authenticator,
  bearerAccepted,
  clusterSecret,
  firstOf,
  onlyFor,
  tokenHolders,
} from "../control/server/authentication.ts";
import { type ApiListener, listenApi } from "../control/server/listener.ts";
import { assertConnections } from "../http/server/descriptor-room.ts";
import { gatewayMetrics } from "../metrics/gateway-metrics.ts";
import { PrometheusMetrics } from "../metrics/prometheus.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { systemRandom } from "../runtime/random.ts";
import { createAdminApp, type AdminTarget } from "./admin/admin.ts";
import { Audit } from "./admin/audit.ts";
import { noHistory, serviceStatus } from "./admin/cluster-status.ts";
import { versionText } from "../runtime/program-version.ts";
import { type SecretDoubt, secretDoubt } from "./admin/secret-doubt.ts";
import { ConfigurationState } from "./configuration-state.ts";
import { ControlPlane } from "./control-plane.ts";
import { createPage } from "./page/page.tsx";
import { PeerClient } from "./peers/peer-client.ts";
import { peerSyncPath } from "../control/peer-api.ts";
import type { Peers } from "./peers/peers.ts";
import { ReloadHistory } from "./reload-history.ts";
import type { CertificateOrders } from "./acme/certificate-orders.ts";
import { certificateOrdersOf, dataPlaneOf } from "./planes.ts";
import type { DataPlane } from "./route/data-plane.ts";
import { createProxyApp } from "./route/proxy-app.ts";
import { secretWarnings, steadHosts } from "./secret-warnings.ts";
import type { ServiceRuntime } from "./service/service.ts";
import { fileDisk } from "./state/replication-disk.ts";
import { StateSamples } from "./state-samples.ts";
import { SqlQueries } from "./state/sql-queries.ts";
import type { ReaderAnswer, ReaderRequest } from "./state/sql-reader.ts";
import { StateStore, type Remembered } from "./state/store.ts";
import { TokenBook } from "./state/token-book.ts";
import { withNulls } from "../control/nulls.ts";

export interface GatewayDeps {
  readonly clock: Clock;
  /** Program and arguments of the SQL reader process (state/sql-reader.ts); the database's path is added. */
  readonly sqlReader: readonly [string, ...string[]];
  /** Program and arguments of a worker process (workers/worker.ts); required if the configuration has more than one. */
  readonly worker?: readonly [string, ...string[]];
  readonly log: Logger;
  /** Path of the configuration file. */
  readonly configFile?: string;
}

export type ReloadOutcome = { readonly kind: "applied" } | { readonly kind: "refused"; readonly why: string };

export class Gateway implements AdminTarget {
  #config: GatewayConfig;
  readonly #deps: GatewayDeps;
  readonly #store: StateStore;
  readonly #queries: SqlQueries;
  readonly #control: ControlPlane;
  readonly #plane: DataPlane;
  readonly configuration: ConfigurationState;
  readonly metrics = new PrometheusMetrics(gatewayMetrics);
  /** Of operators' programs; the processes of the cluster use the channel. */
  readonly authenticator: Authenticator;
  readonly channel: ChannelServer;
  readonly tokens: TokenBook;
  readonly tls: ClusterTls | undefined;
  readonly audit: Audit;
  readonly drills: ControlPlane["drills"];
  readonly notifier: ControlPlane["notifier"];
  readonly #secrets: ClusterSecrets;
  readonly #keyring: Keyring;
  readonly #reloads = new ReloadHistory();
  readonly samples: StateSamples;
  readonly #startedAtMs: number;
  readonly #startedAt: number;
  #admin: ApiListener | undefined;
  #orders: CertificateOrders | undefined;

  /**
   * Throws `ConnectionLimitError` if the configured connections need more descriptors than there are, `ListenError` if
   * an address cannot be used, and `DatabaseInUseError` if another gateway has the database; an unusable database is
   * shown in the status instead. `descriptors`: inherited listening sockets for clients.
   */
  static async start(config: GatewayConfig, deps: GatewayDeps, descriptors?: readonly number[]): Promise<Gateway> {
    assertConnections("gateway.limits.connections", config.limits.connectionsMax);
    const store = new StateStore({
      disk: fileDisk(config.databasePath),
      gateway: config.id,
      clock: deps.clock,
      random: systemRandom,
    });
    const gateway = new Gateway(config, deps, store, await store.open());
    try {
      await gateway.#listen(descriptors);
    } catch (error) {
      await gateway.close(0);
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
    this.configuration = new ConfigurationState(deps.configFile, deps.clock);
    const { clock, log } = deps;
    const { secret, cluster } = config;
    const secrets = new ClusterSecrets({ secret, from: cluster.secretFrom, clock, log }).watch();
    const keyring = new Keyring(secrets.valid, cluster.name);
    secrets.use((valid) => keyring.replace(valid));
    this.#secrets = secrets;
    this.#keyring = keyring;
    const self: Party = { role: "gateway", id: config.id };
    this.tls =
      cluster.tls === undefined
        ? undefined
        : new ClusterTls({ config: cluster.tls, cluster: cluster.name, self: [self], clock, log }).watch();
    this.#plane = dataPlaneOf({
      ...{ clock, log, settings: () => this.#config, metrics: this.metrics, tls: this.tls, worker: deps.worker },
      onWorkerLost: (detail) => {
        for (const { recorder } of this.services()) recorder.recordEvent("warning", "worker-lost", undefined, detail);
      },
    });
    const caller = new ChannelClient(keyring, self, clock, this.tls);
    const strangers = new StrangerLog({ keyring, place: () => secrets.place, clock, log });
    this.channel = new ChannelServer(keyring, self, clock, strangers);
    this.audit = new Audit({ gateway: config.id, clock, log, store });
    this.tokens = new TokenBook(store, clock, systemRandom);
    this.authenticator = firstOf(
      onlyFor(
        (_, path) => cluster.acceptBearer || path !== peerSyncPath,
        clusterSecret(() => secrets.valid),
      ),
      tokenHolders((token) => this.tokens.find(token)),
    );
    this.#control = new ControlPlane({
      ...{ clock, log, metrics: this.metrics, store, remembered, plane: this.#plane, startedAtMs: this.#startedAtMs },
      ...{ config: () => this.#config, certificateEndsAtMs: () => this.tls?.expiresAtMs },
      control: (controlUrl, service, host) =>
        new HostClient(controlUrl, caller, clock, defaultHostClientLimits, {
          gateway: config.id,
          host: hostParty(service, host),
        }),
      transport: (url) => new PeerClient(url, caller, clock),
      heard: (row) => this.#orders?.heard(row),
    });
    this.samples = new StateSamples({
      clock,
      services: () => this.services().map((service) => serviceStatus(service, clock.now(), noHistory)),
    });
    this.drills = this.#control.drills;
    this.notifier = this.#control.notifier;
  }

  /** The configuration in force. */
  get config(): GatewayConfig {
    return this.#config;
  }

  /** Descriptors of the sockets for clients. */
  get descriptors(): readonly number[] {
    return this.#plane.descriptors;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get log(): Logger {
    return this.#deps.log;
  }

  get port(): number {
    return this.#plane.port;
  }

  get adminPort(): number {
    return this.#admin?.port ?? 0;
  }

  /** Returns this gateway's data plane as a Hono app, to be served or embedded beside its own listener. */
  proxyApp(clientOf: Parameters<typeof createProxyApp>[1]): ReturnType<typeof createProxyApp> {
    if (this.#plane.server === undefined)
      throw new Error("the gateway's data plane does not listen yet, or runs in workers");
    return createProxyApp(this.#plane.server, clientOf);
  }

  get peers(): Peers {
    return this.#control.peers;
  }

  services(): readonly ServiceRuntime[] {
    return this.#control.services();
  }

  status(): ClusterStatus {
    const { clock } = this.#deps;
    const { id, databasePath } = this.#config;
    const defects = this.services().flatMap(({ name, defect }) =>
      defect === undefined ? [] : [`service ${name}: ${defect}`],
    );
    const { failure, warnings, queued, dropped } = this.#store;
    return {
      ...{ version: 1, gateway: id },
      ...{ startedAtMs: this.#startedAtMs, uptimeMs: clock.now() - this.#startedAt },
      program: withNulls({ version: versionText(), wallTimeMs: Math.floor(clock.wallTime()), vaultUrl: undefined }),
      troubles: [
        ...defects,
        ...(failure === undefined ? [] : [failure]),
        ...warnings,
        ...this.peers.warnings,
        ...(this.configuration.warning === undefined ? [] : [this.configuration.warning]),
        ...(this.#config.cluster.acceptBearer ? [bearerAccepted] : []),
        ...(this.tls?.warnings ?? []),
        ...(this.#orders?.warnings ?? []),
        ...this.#secrets.warnings,
        ...secretWarnings({
          ...{ doubt: this.secretDoubt, secrets: this.#secrets, keyring: this.#keyring },
          hosts: steadHosts(this.services()),
        }),
        ...new Set([...this.#control.warnings, ...this.#plane.warnings]),
      ],
      configuration: this.configuration.status,
      secret: secretStatus(this.#keyring, this.#secrets),
      database: withNulls({ path: databasePath, trouble: failure, queued, dropped }),
      connections: this.#plane.connections,
      workers: this.#plane.workers.map(withNulls),
      ...{ notify: this.notifier.status().map(withNulls), gateways: this.peers.status().map(withNulls) },
      services: this.services().map((service) =>
        serviceStatus(service, clock.now(), {
          failovers: this.#control.failoversOf(service.name),
          lastDrill: this.drills.lastOf(service.name),
          nextDrill: this.drills.nextOf(service.name),
        }),
      ),
    };
  }

  get secretDoubt(): SecretDoubt {
    return secretDoubt(
      this.peers.secretViews,
      steadHosts(this.services()).map(({ service, host, monitor }) => ({
        by: `host ${host} of ${service}`,
        view: monitor?.secret,
      })),
    );
  }

  hostList(): HostList {
    return this.#control.hostList();
  }

  addHost(...[host]: Parameters<ControlPlane["addHost"]>): void {
    this.#control.addHost(host);
  }

  changeHost(...[service, host, change]: Parameters<ControlPlane["changeHost"]>): boolean {
    return this.#control.changeHost(service, host, change);
  }

  removeHost(service: string, host: string): boolean {
    return this.#control.removeHost(service, host);
  }

  setMaintenance(...args: Parameters<ControlPlane["setMaintenance"]>): void {
    this.#control.setMaintenance(...args);
  }

  setPause(...args: Parameters<ControlPlane["setPause"]>): ReturnType<ControlPlane["setPause"]> {
    return this.#control.setPause(...args);
  }

  configReport(): ConfigReport {
    const services = this.#config.services.map((service) => ({
      ...service,
      hosts: this.#control.registry.of(service.name),
    }));
    const atRunTime = services.flatMap(({ name, hosts }) =>
      [
        ...hosts.filter(({ source }) => source === "operator").map(({ id }) => id),
        ...this.#control.registry.removed(name),
      ].map((id) => hostKey(name, id)),
    );
    return {
      configuration: this.configuration.status,
      settings: { ...gatewaySettings(this.#config), ...serviceSettings(services) },
      decidedAtRunTime: atRunTime,
      reloads: [...this.#reloads.reloads],
    };
  }

  /** Applies another configuration as a whole, without touching a connection, or refuses it without any change. */
  reload(config: GatewayConfig): ReloadOutcome {
    const restart = restartKeys(this.#config, config);
    if (restart.length > 0) {
      const why = `${restart.join(", ")} cannot change while the gateway runs: restart it`;
      this.#refuseReload(why, config);
      return { kind: "refused", why };
    }
    this.#reloads.add(this.#wallTimeMs, this.#config, { kind: "applied", after: config });
    const before = this.#config.services;
    this.#config = config;
    this.#secrets.follow(config.cluster.secretFrom);
    this.#control.reconfigure(before);
    this.configuration.applied();
    return { kind: "applied" };
  }

  /** Reports a configuration that cannot even be read; the previous one stays in force. */
  refuseReload(why: string): void {
    this.#refuseReload(why, undefined);
  }

  #refuseReload(why: string, after: GatewayConfig | undefined): void {
    this.configuration.refuse(why);
    this.#reloads.add(this.#wallTimeMs, this.#config, { kind: "refused", why, after });
  }

  get #wallTimeMs(): number {
    return Math.floor(this.#deps.clock.wallTime());
  }

  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer> {
    return this.#queries.query(request, timeoutMs);
  }

  /** Stops accepting connections, finishes requests within `drainMs`, writes pending rows, and ends. */
  async close(drainMs: number): Promise<void> {
    this.samples.close();
    await this.#orders?.close();
    await this.#plane.close({ drainMs });
    await this.#closeAdmin();
    await this.#control.close();
    this.tls?.close();
    this.#secrets.close();
    this.#queries.close();
    await this.#store.close();
  }

  /**
   * Gives up the database, the admin listener and its place among peers, for a process that replaces this one. From now
   * on it orders and stores nothing; it serves clients, and follows the primary that hosts report.
   */
  async handOver(): Promise<void> {
    await this.#orders?.close();
    await this.#control.handOver();
    this.samples.close();
    await this.#closeAdmin();
    this.#queries.close();
    await this.#store.close();
  }

  /** After `handOver`: another process accepts now. Finishes the requests in progress, and ends. */
  async drain(): Promise<void> {
    await this.#plane.close({ drainMs: this.#config.drainTimeoutMs, idle: "serve-once" });
    await this.#control.close();
    this.tls?.close();
    this.#secrets.close();
  }

  async #closeAdmin(): Promise<void> {
    const admin = this.#admin;
    this.#admin = undefined;
    await admin?.close();
    this.audit.close();
  }

  async #listen(descriptors: readonly number[] | undefined): Promise<void> {
    const { adminListen } = this.#config;
    const { clock, log } = this.#deps;
    const parts = { clock, log, metrics: this.metrics, store: this.#store, confirm: () => this.peers.confirm() };
    this.#orders = await certificateOrdersOf(this.#config, parts);
    await this.#plane.listen(descriptors);
    const api = createAdminApp(this);
    const page = createPage({
      gateway: this.#config.id,
      api: (request, env) => api.fetch(request, env),
      holderOf: (token) => this.tokens.find(token),
      isSecure: this.tls !== undefined,
      clock: this.#deps.clock,
      random: systemRandom,
    });
    this.#admin = await listenApi(page, adminListen, { tls: this.tls });
    this.peers.start();
    this.samples.start();
    this.#orders?.start();
  }
}
