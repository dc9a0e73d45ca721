/**
 * One service on this gateway: drives its state machine (src/core/failover/failover.ts) and performs the effects in
 * order.
 *
 * Events come from monitors, orders, the data plane, operators and a timer, and are handled one at a time. A defect in
 * deciding is shown as an event and in `defect`, and does not stop routing: the route stays unchanged (static
 * stability).
 */
import { step, wakeAt } from "../../core/failover/failover.ts";
import {
  initialServiceState,
  type Command,
  type Failover,
  type CommandOutcome,
  type FailoverEffect,
  type FailoverEvent,
  type OrderTerms,
  type RegisteredHost,
  type ServiceState,
} from "../../core/failover/state.ts";
import { circumstancesOf } from "../../core/failover/circumstances.ts";
import { dryRun } from "../../core/failover/command.ts";
import {
  lossKindOf,
  predict,
  type LossKind,
  type Prediction,
  type PredictionBasis,
} from "../../core/failover/prediction.ts";
import { commonFormat } from "../../core/record-format.ts";
import type { Rules } from "../../core/rules.ts";
import { suspectsMax } from "../../control/host-api.ts";
import type { KnownSuspect } from "../../core/suspects.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { HostMonitor, type ProbeTimes } from "./monitor.ts";
import { Orders } from "./orders.ts";
import type { HostControl } from "../../control/host-control.ts";
import type { RestoreTestResult } from "../../control/restore-test.ts";
import { isPlain, PlainHost, PlainEpochs } from "./plain-host.ts";
import { isPrimaryDoubted } from "../../core/failover/route.ts";
import { FailoverImpacts } from "./failover-impacts.ts";
import { measuredOf } from "./failover-history.ts";
import type { FailoverRow } from "../state/rows.ts";
import type { Recorder } from "./recorder.ts";
import { HookFailures } from "./hook-failures.ts";
import { RehearsalEvents } from "./rehearsal-events.ts";
import { SuspectEvents } from "./suspect-events.ts";
import { RemovedHosts } from "./removed-hosts.ts";
import type { OwnShortage } from "../route/own-shortage.ts";
import type { HeardOfHost } from "../../http/upstream/upstream.ts";
import { reportedFormat, type HostStatus } from "../../control/host-status.ts";
import type { ServiceRoute } from "../route/service-route.ts";
import type { Traffic } from "../route/traffic.ts";
import type { FailoverSettings } from "../../core/failover/settings.ts";

export interface ServiceOptions {
  readonly settings: FailoverSettings;
  /** The control API of a host. */
  readonly control: (controlUrl: string, host: string) => HostControl;
  readonly probe: ProbeTimes;
  readonly clock: Clock;
  readonly route: ServiceRoute;
  readonly traffic: Traffic;
  readonly recorder: Recorder;
  readonly shortage: OwnShortage;
  /** Default: all. */
  readonly rules?: Rules | undefined;
  /** The newest failovers of all gateways, oldest first. */
  failovers(): readonly FailoverRow[];
  /** Called after each turn of the state machine. */
  moved?(service: ServiceRuntime): void;
  /** A host has told the result of its last restore test; called again with each status. */
  onRestoreTest?(host: string, result: RestoreTestResult): void;
  /** A failover is done; called again when more is known about it. */
  onFailedOver?(failover: Failover): void;
}

interface Watched {
  readonly controlUrl: string;
  readonly client: HostControl;
  readonly monitor: HostMonitor;
}

export class ServiceRuntime {
  readonly name: string;
  readonly route: ServiceRoute;
  readonly traffic: Traffic;
  readonly recorder: Recorder;
  /** Of this machine, met while its hosts were probed. */
  readonly shortage: OwnShortage;
  /** Why a primary stepped down without the rewind of this id. */
  readonly notRewound = new Map<string, string>();
  readonly #options: ServiceOptions;
  #probe: ProbeTimes;
  readonly #orders: Orders;
  readonly #watched = new Map<string, Watched>();
  readonly #removed: RemovedHosts;
  readonly #waiting = new Map<string, (outcome: CommandOutcome) => void>();
  readonly #queue: FailoverEvent[] = [];
  readonly #impacts: FailoverImpacts;
  readonly #plainEpochs = new PlainEpochs();
  readonly #stopping: Promise<void>[] = [];
  readonly #suspects: SuspectEvents;
  readonly #rehearsals: RehearsalEvents;
  readonly #hooks = new HookFailures();
  #state: ServiceState;
  #isTaking = false;
  #timer: Timer | undefined;
  #lastCommand = 0;
  #defect: string | undefined;
  #isStopped = false;
  #maintenance: OrderTerms | undefined;

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#probe = options.probe;
    this.name = options.settings.service;
    this.route = options.route;
    this.traffic = options.traffic;
    this.recorder = options.recorder;
    this.shortage = options.shortage;
    this.#removed = new RemovedHosts(options.clock);
    this.#suspects = new SuspectEvents(options.recorder);
    this.#rehearsals = new RehearsalEvents(options.recorder);
    this.#state = initialServiceState(options.settings);
    this.#impacts = new FailoverImpacts(options.clock, this.traffic, (impact) => this.recorder.impact(impact));
    const onNotRewound = (id: string, why: string) => this.notRewound.set(id, why);
    this.#orders = new Orders(options.settings.gateway, (event) => this.send(event), onNotRewound);
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** True while the primary is being determined or changed. */
  get isChanging(): boolean {
    const { kind } = this.#state.phase;
    return kind !== "serving" && kind !== "down" && kind !== "unknown";
  }

  /** Why, and until when, requests get the maintenance page; undefined: they do not. */
  get maintenance(): OrderTerms | undefined {
    return this.#maintenance;
  }

  setMaintenance(terms: OrderTerms | undefined): void {
    this.#maintenance = terms;
    this.route.maintain(terms === undefined ? undefined : { untilMs: terms.untilMs });
    this.#options.moved?.(this);
  }

  /** True if all hosts are plain ones. */
  get isPlain(): boolean {
    return [...this.#state.hosts.values()].every(({ controlUrl }) => isPlain(controlUrl));
  }

  /** Monotonic milliseconds of the state machine. */
  now(): number {
    return this.#options.clock.now();
  }

  /** A programming error met while deciding; undefined: none. */
  get defect(): string | undefined {
    return this.#defect;
  }

  monitorOf(host: string): HostMonitor | undefined {
    return this.#watched.get(host)?.monitor;
  }

  clientOf(host: string): HostControl | undefined {
    return this.#watched.get(host)?.client;
  }

  /** Applies the registry: monitors of new hosts start, those of removed hosts stop. */
  register(hosts: readonly RegisteredHost[]): void {
    const wanted = new Map(hosts.map((host) => [host.id, host]));
    for (const [id, watched] of this.#watched) {
      if (wanted.get(id)?.controlUrl === watched.controlUrl) continue;
      this.#watched.delete(id);
      this.#stopping.push(watched.monitor.close());
      if (wanted.has(id)) continue;
      this.recorder.hostRemoved(id);
      this.#removed.tell(id, watched.client);
      this.#rehearsals.forget(id);
      this.#hooks.forget(id);
    }
    this.send({ kind: "hosts", hosts });
    for (const host of hosts) if (!this.#watched.has(host.id)) this.#watch(host);
  }

  /** Applies a reloaded configuration: knowledge and operations in progress stay. */
  reconfigure(settings: FailoverSettings, probe: ProbeTimes): void {
    this.#probe = probe;
    for (const { monitor } of this.#watched.values()) monitor.retime(probe);
    this.send({ kind: "settings", settings });
  }

  send(event: FailoverEvent): void {
    if (this.#isStopped) return;
    this.#queue.push(event);
    if (this.#isTaking) return;
    this.#isTaking = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#take(next);
    } finally {
      this.#isTaking = false;
    }
    this.#setTimer();
    this.#impacts.look(this.#state);
    this.#options.moved?.(this);
  }

  /** Returns the host that would be asked if the primary were lost now; undefined: none could take over. */
  expectedPrimary(): string | undefined {
    return dryRun(this.#state, this.now()).wouldPromote;
  }

  /**
   * Returns what is expected if the primary ends so now; undefined: no host could take over. `candidate`: default, the
   * host that would be asked.
   */
  predict(kind: LossKind, candidate?: string): Prediction | undefined {
    const basis = this.predictionBasis(candidate);
    return basis === undefined ? undefined : predict(kind, basis);
  }

  /** Undefined: no host could take over. */
  predictionBasis(candidate?: string): PredictionBasis | undefined {
    const { state } = this;
    const host = candidate ?? this.expectedPrimary();
    const view = host === undefined ? undefined : state.hosts.get(host);
    if (host === undefined || view === undefined) return undefined;
    const heard = state.heard?.position ?? 0;
    const { leaseMs } = state.hosts.get(state.primary?.host ?? host)?.report ?? view.report ?? { leaseMs: 0 };
    return {
      measured: measuredOf(this.#options.failovers()),
      candidate: host,
      lag: Math.max(0, heard - (view.report?.position ?? heard)),
      rehearsedMs: this.monitorOf(host)?.status?.rehearsal?.startMs ?? undefined,
      primaryStartMs: this.monitorOf(state.primary?.host ?? "")?.status?.application?.startMs ?? undefined,
      probe: { ...this.#probe, fall: state.settings.fall },
      leaseMs,
    };
  }

  /** Issues an operator's command; resolves once it has finished. */
  command(command: Command, signal: AbortSignal): Promise<CommandOutcome> {
    const id = String(++this.#lastCommand);
    return new Promise((resolve) => {
      const give = (outcome: CommandOutcome): void => {
        this.#waiting.delete(id);
        signal.removeEventListener("abort", onAbort);
        resolve(outcome);
      };
      const onAbort = (): void =>
        give({
          kind: "refused",
          code: "unfinished",
          why: "it did not finish in time",
          advice: "it may still finish: see `stead status`",
        });
      this.#waiting.set(id, give);
      signal.addEventListener("abort", onAbort, { once: true });
      this.send({ kind: "command", id, command });
    });
  }

  async close(): Promise<void> {
    await this.drain();
    this.route.close();
  }

  /** Stops watching and deciding; requests in progress continue. */
  async drain(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#impacts.close();
    for (const give of [...this.#waiting.values()])
      give({ kind: "refused", code: "unfinished", why: "the gateway is stopping", advice: "ask another gateway" });
    await Promise.all([
      this.#orders.close(),
      this.#removed.close(),
      ...this.#stopping,
      ...[...this.#watched.values()].map(({ monitor }) => monitor.close()),
    ]);
  }

  #watch(host: RegisteredHost): void {
    const { control, clock } = this.#options;
    const { id, controlUrl } = host;
    const client = isPlain(controlUrl)
      ? new PlainHost({ service: this.name, host: id, controlUrl, epochs: this.#plainEpochs, clock })
      : control(controlUrl, id);
    const monitor = new HostMonitor({
      host: host.id,
      client,
      clock,
      probe: this.#probe,
      recordFormat: () => this.#commonFormat(),
      onShortage: (why) => this.shortage.add(why),
      onSecretRefused: (why) => this.recorder.recordEvent("warning", "secret-refused", host.id, why),
      send: (event) => this.send(event),
    });
    this.#removed.forget(id);
    this.#watched.set(host.id, { controlUrl: host.controlUrl, client, monitor });
    monitor.start();
  }

  #isPlainHost(id: string): boolean {
    return isPlain(this.#state.hosts.get(id)?.controlUrl ?? "");
  }

  #take(event: FailoverEvent): void {
    const before = this.#state;
    try {
      const { state, effects } = step(before, event, this.#options.clock.now(), this.#options.rules);
      this.#state = state;
      for (const effect of effects) this.#perform(effect);
    } catch (error) {
      const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      if (this.#defect === undefined)
        this.recorder.recordEvent("warning", "defect", undefined, `while handling ${event.kind}: ${message}`);
      this.#defect = message;
    }
    for (const [id, view] of this.#state.hosts)
      if (view !== before.hosts.get(id)) this.recorder.health(view, this.monitorOf(id)?.status);
    if (event.kind === "report") {
      const status = this.monitorOf(event.host)?.status;
      this.#suspects.heard(event.host, status?.suspects ?? []);
      for (const { hook, epoch, detail } of this.#hooks.heard(event.host, status?.hooks ?? []))
        this.recorder.recordEvent("warning", "hook-failed", event.host, `${hook} of epoch ${epoch} ${detail ?? ""}`);
      if (status?.role === "primary" && event.host === this.route.host) this.route.heard(status.epoch, heardIn(status));
      if (status !== undefined) this.#rehearsals.heard(event.host, status.rehearsal ?? undefined);
      const restoreTest = status?.restoreTest ?? undefined;
      if (restoreTest !== undefined) this.#options.onRestoreTest?.(event.host, restoreTest);
    }
    const isDoubted = isPrimaryDoubted(this.#state);
    if (isDoubted !== isPrimaryDoubted(before)) this.route.doubt(isDoubted);
    if (event.kind === "data-error" && this.#state.phase.kind === "down") this.route.waitForPort();
  }

  #perform(effect: FailoverEffect): void {
    switch (effect.kind) {
      case "probe":
        return this.#watched.get(effect.host)?.monitor.probeNow();
      case "promote":
        return this.#orders.promote(this.clientOf(effect.host), effect, {
          suspects: this.#knownSuspects(),
          recordFormat: this.#commonFormat(),
        });
      case "demote":
        return this.#orders.demote(this.clientOf(effect.host), effect);
      case "cancel":
        return this.#orders.cancel(effect.call);
      case "route":
        this.#route(effect);
        return this.send({ kind: "routed", epoch: effect.epoch });
      case "hold":
        return this.route.holdRequests();
      case "drop":
        return this.route.abortHost(effect.host, effect.reason);
      case "record-epoch":
        return this.recorder.epoch(effect);
      case "record-failover":
        return this.#recordFailover(effect);
      case "record-event":
        return this.recorder.recordEvent(effect.level, effect.what, effect.host, effect.detail);
      case "reply":
        return this.#waiting.get(effect.id)?.(effect.outcome);
    }
  }

  #route({ host, dataUrl, epoch }: Extract<FailoverEffect, { kind: "route" }>): void {
    if (this.#isPlainHost(host)) return this.route.route(host, dataUrl, undefined);
    const status = this.monitorOf(host)?.status;
    this.route.route(host, dataUrl, epoch, status === undefined ? undefined : heardIn(status));
  }

  /** Of all registered hosts, heard or not. */
  #commonFormat(): number | undefined {
    return commonFormat([...this.#state.hosts.keys()].map((id) => reportedFormat(this.monitorOf(id)?.status)));
  }

  /** Combines the knowledge of all hosts: the future primary continues the count. */
  #knownSuspects(): KnownSuspect[] {
    const statuses = [...this.#watched.values()].flatMap(({ monitor }) => monitor.status ?? []);
    return statuses.flatMap(({ suspects, watchedRequests }) => [...suspects, ...watchedRequests]).slice(0, suspectsMax);
  }

  #recordFailover(effect: Extract<FailoverEffect, { kind: "record-failover" }>): void {
    const { failover, outcome } = effect;
    this.traffic.watchGap(failover.key, ({ ms, startedAt }) =>
      this.recorder.gap(failover.key, ms, startedAt - failover.decidedAt),
    );
    const kind = lossKindOf(failover.kind);
    const isNew = this.recorder.find(failover.key) === undefined;
    const prediction = isNew && kind !== undefined ? this.predict(kind, failover.target ?? failover.to) : undefined;
    const isBeginning = isNew || outcome === "running";
    const circumstances = isBeginning ? circumstancesOf(this.#state, failover, this.now()) : undefined;
    this.recorder.failover(failover, outcome, { prediction, circumstances });
    if (outcome !== "running") this.traffic.closeGap(failover.key);
    if (outcome === "done") this.#options.onFailedOver?.(failover);
  }

  #setTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock } = this.#options;
    const now = clock.now();
    const at = wakeAt(this.#state, now);
    if (at === undefined || this.#isStopped) return;
    this.#timer = clock.setTimer(at - now, () => this.send({ kind: "time" }));
  }
}

/** What requests with names rest on; of a host in any role, for it reads the log that it writes as primary. */
const heardIn = ({ position, vault, takesNames }: HostStatus): HeardOfHost => ({
  ...{ position, vault: vault?.id ?? undefined, takesNames },
});
