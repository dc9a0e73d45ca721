/**
 * The host as its control API sees it: judges orders and reports its status. Its life (src/core/host/life.ts) decides
 * what it does; the driver (driver.ts) performs that, and is the only way in which the state changes.
 */
import { retentionPolicy } from "../config/retention-policy.ts";
import type { HostDrillDone, HostDrillRequest } from "../control/drill-api.ts";
import type { HostStatus } from "../control/host-status.ts";
import type { DemoteEvent, DemoteRequest, PromoteEvent, PromoteRequest } from "../control/host-api.ts";
import type { WitnessVerdict } from "../core/host/witness.ts";
import { describeRefusal, type Refusal } from "../core/refusal.ts";
import { messageOf } from "../runtime/operator-error.ts";
import { endsWithin } from "../runtime/timeout.ts";
import { openLog } from "../vault/log/open-log.ts";
import type { Store } from "../vault/store/store.ts";
import type { Controlled } from "./control/control.ts";
import { DatabaseDesk } from "./control/database-desk.ts";
import { GatewayWatch } from "./control/gateway-watch.ts";
import { judgeOrder } from "./control/order-evidence.ts";
import { Promotion } from "./control/promotion.ts";
import { notReady, whyNotDemoted, whyNotRestored } from "./control/refusals.ts";
import { beginDrill } from "./drills.ts";
import { Driver } from "./driver.ts";
import type { HostPorts } from "./host-ports.ts";
import { Hooks } from "./hooks.ts";
import { Canary } from "./machine/canary.ts";
import type { Outcome } from "./ports/ports.ts";
import { Warnings } from "./ports/warnings.ts";
import { checkpointOnDemand } from "./primary/checkpointer.ts";
import { Rehearsals } from "./rehearsals.ts";
import { RestoreTests } from "./restore-tests.ts";
import { uncoveredState, unlistedData } from "./restoring.ts";
import type { Follower } from "./secondary/follower.ts";
import type { Marker } from "./secondary/local-data.ts";
import { LogStatus } from "./secondary/log-status.ts";
import type { Secondary } from "./secondary/secondary.ts";
import { RestorePointReader } from "./secondary/restore-points.ts";
import { Rewinds } from "./rewinds.ts";
import { selfReport } from "./self-report.ts";
import { VaultCopies } from "./vault-copies.ts";

export class Host implements Controlled {
  readonly instance: string;
  readonly gateways: GatewayWatch;
  readonly databases: DatabaseDesk;
  readonly restorePoints: RestorePointReader;
  readonly rewinds: Rewinds;
  readonly #ports: HostPorts;
  readonly #logStatus: LogStatus;
  readonly #warnings: Warnings;
  readonly #canary: Canary;
  readonly #driver: Driver;
  readonly #rehearsals: Rehearsals;
  readonly #restoreTests: RestoreTests;
  readonly #vaultCopies: VaultCopies;
  readonly #hooks: Hooks;
  #changed = Promise.withResolvers<void>();

  constructor(ports: HostSetup) {
    this.instance = Buffer.from(ports.random.bytes(8)).toString("hex");
    const onChange = (): void => this.announce();
    const { clock, config, rules, log } = ports;
    const { instance } = this;
    const { id: host, controlUrl } = config;
    const warnings = new Warnings(log, onChange);
    this.#warnings = warnings;
    for (const text of ports.lastingWarnings ?? []) warnings.warn(text, "vault keys");
    this.#canary = newCanary(ports, { instance, warnings, onChange });
    this.gateways = new GatewayWatch({ clock, warnings, host, controlUrl, rules });
    this.#ports = this.#withCanary(ports);
    this.#logStatus = new LogStatus({
      ...{ clock, host, instance },
      onDuplicateId: (url) => this.#driver.onDuplicateId(`its control API: ${url}`),
    });
    this.#hooks = new Hooks({
      ...{ config, clock, run: ports.runHook, onChange },
      onWarning: (text) => warnings.warn(text),
    });
    this.#driver = new Driver({
      hooks: this.#hooks,
      ...{ ports: this.#ports, instance, logStatus: this.#logStatus, warnings, onChange },
      recordFormat: () => this.gateways.recordFormat,
      readExclusions: () => this.databases.refresh(),
      dataUrl: () => this.#dataUrl,
      promoteItself: () => this.#promoteItself(),
      abortRehearsal: (reason) => this.#abortTrials(reason),
    });
    this.databases = new DatabaseDesk({
      ...{ exclusions: ports.exclusions, clock, log, warnings },
      source: () => this.#driver.term?.source,
      followed: () => this.#driver.secondary?.databases(),
      position: () => this.#driver.term?.position ?? this.#logStatus.position,
    });
    this.restorePoints = new RestorePointReader({
      ...{ store: this.#ports.store, vaultLog: this.#ports.vaultLog, clock },
      policy: () => retentionPolicy(config.checkpoint),
      newest: () => {
        const ageMs = this.#logStatus.lastRecordAgeMs;
        return ageMs === undefined
          ? undefined
          : { position: this.#driver.term?.position ?? this.#logStatus.position, ageMs };
      },
    });
    this.#rehearsals = new Rehearsals({
      ...{ ground: ports.rehearsal, clock, log, freePort: ports.freePort },
      onResult: (ok) => (ok ? this.#driver.take({ kind: "rehearsed" }) : this.announce()),
      onStray: (reason) => this.#driver.take({ kind: "cannot-follow", reason }),
    });
    this.#restoreTests = new RestoreTests({
      ...{ ports: ports.restoreTest, host, clock, log, store: this.#ports.store, onResult: onChange },
      openLog: (store) => openLog(store, { service: config.service, log: ports.logKind }, ports),
      config: () => config.restoreTest,
      role: () => this.#driver.state.kind,
    });
    this.rewinds = new Rewinds({
      ...{ ports: ports.rewind, store: this.#ports.store, vaultLog: this.#ports.vaultLog, clock, log },
      newId: () => Buffer.from(ports.random.bytes(8)).toString("hex"),
      role: () => this.#driver.state.kind,
      keptForMs: () => config.checkpoint.windowMs,
      obstacleTo: (names, tree) => uncoveredState(names, tree, config),
      onWarning: (text) => warnings.warn(text),
    });
    this.#vaultCopies = new VaultCopies({
      ...{ ports: ports.vaultCopies, clock, log, vaultLog: this.#ports.vaultLog, keys: ports.keys, warnings, onChange },
      configured: () => config.vaultCopies ?? [],
      policy: () => retentionPolicy(config.checkpoint),
      written: () => (this.#driver.state.kind === "primary" ? this.#driver.term?.written : undefined),
    });
  }

  /** Starts the host's life: it restores, and then follows. `before`: what an earlier process of it was. */
  start(before: Marker = { kind: "unknown" }): void {
    if (before.kind === "primary") this.#hooks.demotedBefore(before.epoch);
    if (this.#ports.canary !== undefined) this.gateways.start();
    this.#canary.start();
    this.#rehearsals.start();
    this.#restoreTests.start();
    this.#vaultCopies.start();
    this.rewinds.start();
    this.#driver.start();
  }

  /**
   * Ends the host: a primary steps down first, so that no host has to wait for its lease. Ends within a bounded time
   * also when the vault does not answer: what was not journaled was not acknowledged, so nothing is lost by that.
   */
  async close(reason: string): Promise<void> {
    const { clock, config } = this.#ports;
    const stepDownMs = config.drainTimeoutMs + config.application.stopTimeoutMs + config.vaultTimeoutMs;
    if (!(await endsWithin(clock, stepDownMs, this.#driver.stepDown(reason)))) {
      this.#warnings.warn(
        `not everything could be journaled within ${stepDownMs} ms: stopped without a vacate record, the next primary waits for the lease`,
      );
    }
    this.#abortTrials(reason);
    this.gateways.close();
    const ended = this.#driver.close(reason).then(async () => {
      await this.#rehearsals.close(reason);
      await this.#restoreTests.close(reason);
      await this.#vaultCopies.close();
      await this.rewinds.close(reason);
    });
    await this.#canary.close();
    await this.#hooks.settled();
    if (!(await endsWithin(clock, 2 * config.vaultTimeoutMs, ended)))
      this.#warnings.warn("the vault does not answer: stopped without waiting for it");
  }

  status(): HostStatus {
    const { clock, config, front, certificate } = this.#ports;
    return selfReport({
      ...{ config, instance: this.instance, dataUrl: this.#dataUrl, suspects: front.suspects, now: clock.now() },
      ...{ log: this.#logStatus, driver: this.#driver, warnings: this.#warnings, canary: this.#canary },
      ...{ rehearsal: this.#rehearsals.last, restoreTest: this.#restoreTests.last, hooks: this.#hooks },
      vaultCopies: this.#vaultCopies.statuses,
      recordFormat: this.gateways.recordFormat,
      certificateWarnings: certificate?.warnings ?? [],
      secret: this.#ports.secret,
      wallTimeMs: clock.wallTime(),
    });
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** The status has changed, or settings that are part of it. */
  announce(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }

  async promote(request: PromoteRequest, report: (event: PromoteEvent) => void): Promise<void> {
    const { clock, config, front } = this.#ports;
    const promotion = new Promotion(clock, report);
    const driver = this.#driver;
    // Two gateways may give the same order: the second learns the outcome of the first one's claim.
    while (driver.state.kind === "claiming") await this.changed();
    const { state, secondary } = driver;
    if (state.kind === "primary" || state.kind === "starting")
      return promotion.refuse({ kind: "epoch_taken", epoch: state.epoch, host: config.id });
    if (state.kind !== "secondary" || secondary === undefined) return promotion.refuse(notReady(state));
    this.#abortTrials("this host was asked to become primary");
    const verdict = await this.#judge(request, secondary.follower);
    if (driver.state.kind !== "secondary") return promotion.refuse(notReady(driver.state));
    if (verdict.kind === "unreadable") return promotion.refuse({ kind: "not_ready", reason: verdict.reason });
    front.suspects.adopt(request.suspects ?? [], clock.now());
    const obstacle = this.#obstacleTo(secondary);
    if (obstacle !== undefined) return promotion.refuse({ kind: "not_ready", reason: obstacle });
    if (verdict.kind === "refused") return promotion.refuse(verdict.refusal);
    this.gateways.toldFormat(request.gateway, request.recordFormat ?? undefined);
    await driver.promote(promotion, secondary.follower.epoch?.epoch ?? 0);
  }

  async demote(request: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void> {
    const reason = whyNotDemoted(this.#driver.state, this.#driver.term, request.epoch ?? undefined);
    if (reason !== undefined) return report({ kind: "refused", refusal: { kind: "not_ready", reason } });
    const rewind = request.rewind ?? undefined;
    const prepared = rewind === undefined ? undefined : this.rewinds.take(rewind);
    if (rewind !== undefined && prepared === undefined) {
      const gone = `no rewind "${rewind}" is prepared here: it was removed, or replaced by another one`;
      return report({ kind: "refused", refusal: { kind: "not_ready", reason: gone } });
    }
    await this.#driver.demote(request.successor ?? undefined, request.reason, report, prepared);
    if (prepared !== undefined) await this.rewinds.over();
  }

  clearSuspects = (): void => this.#ports.front.suspects.clear();

  restore(): Promise<Refusal | undefined> {
    const refusal = whyNotRestored(this.#driver.state);
    if (refusal === undefined) this.#driver.take({ kind: "restore" });
    return Promise.resolve(refusal);
  }

  checkpoint = (): ReturnType<Controlled["checkpoint"]> =>
    checkpointOnDemand(this.#driver.state.kind, this.#driver.term?.checkpointer);

  rehearse = (): ReturnType<Controlled["rehearse"]> =>
    this.#rehearsals.run(this.#driver.state.kind, this.#driver.secondary);

  drill(request: HostDrillRequest): Outcome<HostDrillDone> {
    const { clock, drills: ports } = this.#ports;
    return beginDrill(request, this.#driver.state, this.#driver.term?.application, { ports, clock });
  }

  /** The databases, the disk or the machine are needed. */
  #abortTrials(reason: string): void {
    this.#rehearsals.abort(reason);
    this.#restoreTests.abort(reason);
  }

  /** For a host that has just bootstrapped the vault. Ends with a later stage; the status reports refusals. */
  #promoteItself(): void {
    const request = { gateway: "", epoch: 0, gatewaysRegistered: 0, gatewaysSeeingDown: [], planned: true };
    const report = (event: PromoteEvent): void => {
      if (event.kind === "refused")
        this.#warnings.warn(`did not become primary after the bootstrap: ${describeRefusal(event.refusal)}`);
    };
    this.promote(request, report).catch((error: unknown) => this.#warnings.warn(messageOf(error)));
  }

  /** Returns what the log, read to its end, says about an order. */
  async #judge(request: PromoteRequest, follower: Follower): Promise<WitnessVerdict | Unreadable> {
    const { clock, config } = this.#ports;
    const { driftMarginMs } = config;
    const vaultId = (): string | undefined => this.#canary.vault.id;
    try {
      await follower.catchUp();
      const verdict = await judgeOrder(request, follower, { clock, instance: this.instance, driftMarginMs, vaultId });
      if (verdict.kind === "refused" && verdict.refusal.kind === "other_log")
        this.#warnings.warn(verdict.refusal.reason, "log");
      else this.#warnings.over("log");
      return verdict;
    } catch (error) {
      return { kind: "unreadable", reason: `the log cannot be read to its end: ${messageOf(error)}` };
    }
  }

  /** Returns why this host must not claim with these databases. */
  #obstacleTo(secondary: Secondary): string | undefined {
    if (this.#driver.secondary !== secondary) return "it restarted following meanwhile";
    return unlistedData(secondary, this.#ports) ?? this.#ports.leftovers.obstacle(secondary.databases());
  }

  get #dataUrl(): string {
    const { dataUrl } = this.#ports.config;
    return dataUrl.endsWith(":0") ? `${dataUrl.slice(0, -1)}${this.#ports.front.port}` : dataUrl;
  }

  /** Returns the ports as this host uses them: with the canary on its vault, and without ports that a rehearsal has. */
  #withCanary(ports: HostSetup): HostPorts {
    const { config, freePort } = ports;
    const { store } = this.#canary;
    return {
      ...ports,
      store,
      vaultLog: ports.logOver?.(store) ?? openLog(store, { service: config.service, log: ports.logKind }, ports),
      freePort: config.application.port === undefined ? freePort : () => this.#rehearsals.gone().then(freePort),
    };
  }
}

/** `logOver`: for tests, the log over the store that the host uses. */
export type HostSetup = Omit<HostPorts, "vaultLog"> & { readonly logOver?: (store: Store) => HostPorts["vaultLog"] };

interface Unreadable {
  readonly kind: "unreadable";
  readonly reason: string;
}

type CanaryOwner = Pick<ConstructorParameters<typeof Canary>[0], "instance" | "warnings" | "onChange">;

const newCanary = ({ canary, clock, store, vaultId, config }: HostSetup, owner: CanaryOwner): Canary =>
  new Canary({ ports: canary, clock, store, vaultId, host: config.id, diskStallMs: config.diskStallMs, ...owner });
