/**
 * A gateway's decisions and memory, without a listener: registry and memory (state/), a state machine per service that
 * watches the hosts, and the peers that share all of it. The process around it (gateway.ts) and the simulation
 * (test/sim) supply the connections to hosts, peers, disk and data plane.
 */
import type { ServiceConfig } from "../config/types.ts";
import type { HostList, HostChange } from "../control/gateway-api.ts";
import { resumeInWords } from "../core/failover/command.ts";
import type { Command, Failover, OrderTerms } from "../core/failover/state.ts";
import type { ReplicatedRow } from "../core/replication/row.ts";
import type { Rules } from "../core/rules.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { systemRandom } from "../runtime/random.ts";
import { callProbe, DrillProbe } from "./service/drill-probe.ts";
import { Drills } from "./service/drills.ts";
import { failoversOf } from "./service/failover-history.ts";
import { InterruptedFailovers } from "./service/interrupted-failovers.ts";
import { PlannedDrills } from "./service/planned-drills.ts";
import { Notifier } from "./notify/notifier.ts";
import { type Send, sendNotification } from "./notify/send.ts";
import type { ExportSpans } from "./traces/otlp.ts";
import { Traces } from "./traces/traces.ts";
import type { PeerTransport } from "./peers/peer-client.ts";
import { Peers } from "./peers/peers.ts";
import {
  columnsOf,
  noOrder,
  type OrderColumns,
  orderTerms,
  type TimedOrder,
  TimedOrders,
} from "./service/timed-orders.ts";
import type { HostControl } from "../control/host-control.ts";
import type { DataPlane } from "./route/data-plane.ts";
import { Registry } from "./service/registry.ts";
import { type ControlConfig, ServedServices } from "./service/served-services.ts";
import type { ServiceRuntime } from "./service/service.ts";
import { fromValues } from "./state/replication-tables.ts";
import {
  type FailoverRow,
  putMaintenance,
  putService,
  type StoredMaintenance,
  type StoredService,
} from "./state/rows.ts";
import type { hosts as hostsTable } from "./state/schema.ts";
import type { Remembered, StateStore } from "./state/store.ts";
import { withoutNulls, withNulls } from "../control/nulls.ts";

/** How long a process that is to be replaced waits for a failover before it gives up its control plane anyway. */
const settleMsMax = 10_000;
const settleLookMs = 20;

const maintenanceOnInWords = (words: string): string =>
  `requests are answered with the maintenance page from now on${words === "" ? "" : ` (${words})`}`;
const maintenanceOffInWords = "requests go to the primary again";

const pauseColumns = (row: StoredService): OrderColumns => ({
  ...{ isOn: row.paused, reason: row.pauseReason, atMs: row.pausedAtMs, untilMs: row.pausedUntilMs },
});

export interface ControlPlaneOptions {
  /** In force now. */
  readonly config: () => ControlConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: StateStore;
  /** The contents of the store when it was opened. */
  readonly remembered: Remembered;
  readonly plane: Pick<DataPlane, "route" | "reconfigure">;
  /** The control API of a host of a service. */
  readonly control: (controlUrl: string, service: string, host: string) => HostControl;
  /** The transport to the peer at an admin address. */
  readonly transport: (url: string) => PeerTransport;
  readonly startedAtMs: number;
  /** Default: all. */
  readonly rules?: Rules;
  /** When this process's certificate expires; undefined: it has none. */
  certificateEndsAtMs?(): number | undefined;
  /** Default: as the targets say. */
  readonly send?: Send;
  /** Default: as `gateway.traces` says. */
  readonly exportSpans?: ExportSpans;
  /** Called for every row that changes, here or at another gateway. */
  heard?(row: ReplicatedRow): void;
  /** Called after each turn of a service's state machine. */
  moved?(runtime: ServiceRuntime): void;
}

export class ControlPlane {
  readonly registry: Registry;
  readonly peers: Peers;
  readonly drills: Drills;
  readonly notifier: Notifier;
  /** Undefined: spans go nowhere. */
  readonly #traces: Traces | undefined;
  readonly #planned: PlannedDrills;
  readonly #options: ControlPlaneOptions;
  readonly #served: ServedServices;
  readonly #interrupted: InterruptedFailovers;
  readonly #pauses: TimedOrders;
  readonly #maintenance: TimedOrders;

  /** Routes to what is remembered, then watches the hosts; talks to peers after `peers.start()`. */
  constructor(options: ControlPlaneOptions) {
    const { config, clock, log, metrics, store, remembered, plane, control, transport } = options;
    const { id, adminUrl, peers: seeds, services } = config();
    this.#options = options;
    this.registry = new Registry(store, remembered, services);
    this.drills = new Drills({
      ...{ gateway: id, store, clock },
      registered: () => this.peers.registered,
      confirm: () => this.peers.confirm(),
      objective: (service) => {
        const found = config().services.find(({ name }) => name === service);
        return { rtoMs: found?.objectiveMs, probe: found?.probe };
      },
      plans: () => config().services,
      probe: (probe, drill) => new DrillProbe(probe, drill, { clock, call: callProbe }),
    });
    this.peers = new Peers({ id, adminUrl, seeds, transport, clock, log, store, services: () => this.services() });
    this.peers.register(options.startedAtMs);
    this.notifier = new Notifier({
      ...{ gateway: id, store, clock, log, metrics, targets: config().notify ?? [] },
      send: options.send ?? sendNotification,
      certificateEndsAtMs: () => options.certificateEndsAtMs?.(),
      others: () => this.peers.status().filter(({ self }) => !self),
    });
    this.#traces = tracesOf(options);
    store.onWrite = (row) => {
      this.peers.wrote(row);
      this.notifier.heard(row);
      this.#traces?.heard(row);
      options.heard?.(row);
      if (row.table === "drills") this.#planned.follow();
    };
    store.onApplied = (rows) => this.#onApplied(rows);
    this.#served = new ServedServices({
      ...{ config, clock, log, metrics, store, plane, control, rules: options.rules },
      onFailedOver: (service, failover) => this.#onFailedOver(service, failover),
      onTraced:
        this.#traces === undefined ? undefined : (service, request) => this.#traces?.requestEnded(service, request),
      moved: (moved) => {
        this.peers.moved(moved);
        options.moved?.(moved);
      },
    });
    this.#pauses = new TimedOrders({
      ...{ clock, prefix: "pause-end" },
      apply: (service, terms) => this.#applyPause(service, terms),
      ended: (service, terms, id) => this.#recordPauseEnd(service, terms, id),
    });
    this.#maintenance = new TimedOrders({
      ...{ clock, prefix: "maintenance-end" },
      apply: (service, terms) => this.#applyMaintenance(service, terms),
      ended: (service, terms, id) => this.#recordMaintenanceEnd(service, terms, id),
    });
    this.#reconfigure(remembered);
    this.#interrupted = new InterruptedFailovers({
      gateway: id,
      store,
      clock,
      heardMsAgo: (gateway) => this.peers.heardMsAgo(gateway),
    });
    this.#interrupted.begin();
    this.notifier.begin();
    this.#planned = new PlannedDrills({
      ...{ gateway: id, clock, drills: this.drills, planned: () => config().services },
      services: () => this.services(),
      others: () => this.peers.status().filter(({ self }) => !self),
    });
    this.#planned.follow();
  }

  services(): readonly ServiceRuntime[] {
    return this.#served.runtimes;
  }

  /** Warnings for the operator about this machine and its targets, one sentence each. */
  get warnings(): readonly string[] {
    const { warning } = this.#served.shortage;
    return [...(warning === undefined ? [] : [warning]), ...this.notifier.warnings, ...(this.#traces?.warnings ?? [])];
  }

  /** Returns the newest failovers of all gateways, including earlier runs, oldest first. */
  failoversOf(service: string): readonly FailoverRow[] {
    return failoversOf(this.#options.store, service);
  }

  hostList(): HostList {
    return { hosts: this.registry.all().map(withNulls) };
  }

  addHost(host: {
    service: string;
    id: string;
    controlUrl: string;
    priority: number | undefined;
    nofailover: boolean | undefined;
  }): void {
    this.registry.put(host);
    this.#apply(host.service);
  }

  /** As the API says it: what is left out stays, and undefined gives the host its own word back. */
  changeHost(service: string, host: string, change: HostChange): boolean {
    const known = this.registry.find(service, host);
    if (known === undefined) return false;
    const { id, controlUrl } = known;
    const { priority, nofailover } = { ...withNulls(known), ...change };
    this.addHost({ service, id, controlUrl, ...withoutNulls({ priority, nofailover }) });
    return true;
  }

  removeHost(service: string, host: string): boolean {
    const removed = this.registry.remove(service, host);
    if (removed) this.#apply(service);
    return removed;
  }

  /** Writes whether automation is paused, for all gateways; `order` undefined: it is on. Returns the terms. */
  setPause(service: ServiceRuntime, order: TimedOrder | undefined): OrderTerms {
    const columns = columnsOf(order, this.#options.clock.wallTime());
    this.#writeService(service.name, columns);
    this.#pauses.heard(service.name, columns);
    return orderTerms(columns);
  }

  /** Writes whether a service is in maintenance, for all gateways; `order` undefined: it is not. */
  setMaintenance(service: ServiceRuntime, order: TimedOrder | undefined): void {
    const columns = columnsOf(order, this.#options.clock.wallTime());
    const { words } = orderTerms(columns);
    this.#options.store.write(putMaintenance({ service: service.name, ...columns }));
    this.#maintenance.heard(service.name, columns);
    if (order === undefined) service.recorder.recordEvent("info", "maintenance-off", undefined, maintenanceOffInWords);
    else service.recorder.recordEvent("info", "maintenance-on", undefined, maintenanceOnInWords(words));
  }

  /** Applies a changed configuration; `before` were the previous services. */
  reconfigure(before: readonly ServiceConfig[]): void {
    const { services } = this.#options.config();
    this.registry.reconfigure(services);
    this.#reconfigure(undefined);
    this.#planned.follow();
    for (const { name, match } of services) {
      const old = before.find((service) => service.name === name);
      if (old === undefined || (old.match.host === match.host && old.match.path === match.path)) continue;
      this.#writeService(name, this.#pauseOf(name));
    }
  }

  /**
   * Stops ordering anything, for a process that replaces this one; still follows what hosts report about the primary. A
   * failover in progress first finishes, for a bounded time: the requests that wait for it wait here.
   */
  async handOver(): Promise<void> {
    const { clock, log } = this.#options;
    const until = clock.now() + settleMsMax;
    while (this.services().some(({ isChanging }) => isChanging) && clock.now() < until) await clock.sleep(settleLookMs);
    for (const { name, isChanging } of this.services())
      if (isChanging) log.warn("handed over in the middle of a failover", { service: name });
    this.#pauses.close();
    this.#maintenance.close();
    // Plain hosts cannot report the primary: each process keeps detecting it itself; all reach the same result.
    for (const runtime of this.services())
      if (!runtime.isPlain)
        runtime.send({ kind: "command", id: "handed-over", command: { kind: "pause", isSilent: true } });
    this.#interrupted.close();
    await this.#planned.close();
    await this.notifier.close();
    await this.#traces?.close();
    await this.peers.close();
  }

  async close(): Promise<void> {
    this.#pauses.close();
    this.#maintenance.close();
    this.#interrupted.close();
    await this.#planned.close();
    await this.notifier.close();
    await this.#traces?.close();
    await this.peers.close();
    await this.#served.close();
  }

  /** Serves what the configuration names; `remembered` is the database's content at the start. */
  #reconfigure(remembered: Remembered | undefined): void {
    const added = this.#served.reconfigure();
    // Before anything else: a gateway with peers must never count itself as all of them.
    for (const runtime of added) runtime.send({ kind: "gateways", ids: this.peers.registered });
    for (const runtime of added) this.#begin(runtime, remembered);
    for (const runtime of this.services()) if (!added.includes(runtime)) this.#apply(runtime.name);
  }

  /**
   * With manual rejoin the failed host leaves the registry, so that it takes part again only after an operator adds it.
   */
  #onFailedOver(service: string, failover: Failover): void {
    const { from, to, kind } = failover;
    if (this.#options.config().services.find(({ name }) => name === service)?.rejoin !== "manual") return;
    if (from === undefined || from === to || kind === "switchover" || kind === "rewind" || kind === "first") return;
    const runtime = this.services().find(({ name }) => name === service);
    if (runtime === undefined || !this.removeHost(service, from)) return;
    runtime.recorder.recordEvent(
      "warning",
      "host-removed",
      from,
      `it failed, and rejoin is manual: examine it, then \`stead hosts add ${from} URL\``,
    );
  }

  #begin(runtime: ServiceRuntime, remembered: Remembered | undefined): void {
    const known = remembered?.services.find(({ name }) => name === runtime.name);
    const pause = known === undefined ? noOrder : pauseColumns(known);
    this.#writeService(runtime.name, pause, known === undefined);
    this.#pauses.heard(runtime.name, pause);
    const maintenance = this.#options.store.replica.get("maintenance", runtime.name);
    if (maintenance !== undefined) this.#maintenance.heard(runtime.name, fromValues<StoredMaintenance>(maintenance));
    const epoch = remembered?.epochs.find(({ service }) => service === runtime.name);
    // Registered before the recall: a memory of an unknown host would look like a host without a monitor.
    this.#apply(runtime.name);
    if (epoch !== undefined) runtime.send({ kind: "recall", ...epoch });
  }

  /** `assumed`: not paused by default; a peer may know better. */
  #writeService(name: string, pause: OrderColumns, assumed = false): void {
    const match = this.#options.config().services.find((service) => service.name === name)?.match;
    const row = {
      ...{ name, matchHost: match?.host ?? null, matchPath: match?.path ?? null, paused: pause.isOn },
      ...{ pauseReason: pause.reason, pausedAtMs: pause.atMs, pausedUntilMs: pause.untilMs },
    };
    this.#options.store.write(putService(row, assumed));
  }

  /** As the row says it now, whether or not that pause is over: another gateway may have written it a moment ago. */
  #pauseOf(name: string): OrderColumns {
    const row = this.#options.store.replica.get("services", name);
    return row === undefined || row.deleted ? noOrder : pauseColumns(fromValues<StoredService>(row));
  }

  /** A pause began or ended, here or at another gateway. */
  #applyPause(service: string, terms: OrderTerms | undefined): void {
    const runtime = this.services().find(({ name }) => name === service);
    if (runtime === undefined) return;
    const { automation } = runtime.state;
    const known = automation.kind === "paused" ? automation.terms : undefined;
    if (known?.words === terms?.words) return;
    const command: Command =
      terms === undefined ? { kind: "resume", isSilent: true } : { kind: "pause", isSilent: true, terms };
    runtime.send({ kind: "command", id: "pause", command });
  }

  #applyMaintenance(service: string, terms: OrderTerms | undefined): void {
    this.services()
      .find(({ name }) => name === service)
      ?.setMaintenance(terms);
  }

  #recordMaintenanceEnd(service: string, terms: OrderTerms, id: string): void {
    const recorder = this.services().find(({ name }) => name === service)?.recorder;
    const detail = `it is over (${terms.words}): ${maintenanceOffInWords}`;
    recorder?.recordEvent("info", "maintenance-off", undefined, detail, id);
  }

  #recordPauseEnd(service: string, terms: OrderTerms, id: string): void {
    const recorder = this.services().find(({ name }) => name === service)?.recorder;
    recorder?.recordEvent("info", "resume", undefined, `the pause is over (${terms.words}): ${resumeInWords}`, id);
  }

  /** Applies rows from peers: whatever this gateway acts upon changes at once. */
  #onApplied(rows: readonly ReplicatedRow[]): void {
    const changed = new Set<string>();
    for (const row of rows) {
      this.notifier.heard(row);
      this.#traces?.heard(row);
      this.#options.heard?.(row);
      if (row.table === "hosts") {
        this.registry.applyRemote(fromValues<typeof hostsTable.$inferSelect>(row));
        changed.add(String(row.values["service"]));
      }
      this.#heardOrder(row);
    }
    for (const service of changed) this.#apply(service);
    if (rows.some(({ table }) => table === "gateways")) this.peers.refresh();
    if (rows.some(({ table }) => table === "drills")) this.#planned.follow();
  }

  #heardOrder(row: ReplicatedRow): void {
    if (row.deleted) return;
    if (row.table === "services") this.#pauses.heard(row.key, pauseColumns(fromValues<StoredService>(row)));
    if (row.table === "maintenance") this.#maintenance.heard(row.key, fromValues<StoredMaintenance>(row));
  }

  #apply(service: string): void {
    const runtime = this.services().find(({ name }) => name === service);
    runtime?.register(this.registry.of(service));
  }
}

function tracesOf({ config, clock, metrics, exportSpans }: ControlPlaneOptions): Traces | undefined {
  const { id, cluster, traces } = config();
  if (traces === undefined) return undefined;
  const resource = { cluster: cluster.name, gateway: id };
  return new Traces({ config: traces, resource, clock, metrics, random: systemRandom, send: exportSpans });
}
