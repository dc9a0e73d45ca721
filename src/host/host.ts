/**
 * The host: performs what src/core/host/life.ts decides, and answers the control API.
 *
 * Every change of state goes through `#dispatch`. Long effects (restore, follow, claim, take over, give up) are stages,
 * one at a time (serial-task.ts); what they do, and what they hold while they last, is in duties.ts.
 */
import type { HostStatus } from "../control/host-status.ts";
import type { DemoteEvent, DemoteRequest, PromoteEvent, PromoteRequest } from "../control/messages.ts";
import { type HostEffect, type HostEvent, type HostState, initialHostState, stepHost } from "../core/host/life.ts";
import { afterService, scheduleRetry, type RetrySchedule } from "../core/host/retry-schedule.ts";
import type { WitnessVerdict } from "../core/host/witness.ts";
import { Canary } from "./machine/canary.ts";
import { checkpointOnDemand } from "./primary/checkpointer.ts";
import type { Controlled } from "./control/control.ts";
import { DatabaseDesk } from "./control/database-desk.ts";
import { Duties } from "./duties.ts";
import type { Follower } from "./secondary/follower.ts";
import { GatewayWatch } from "./control/gateway-watch.ts";
import type { HostPorts } from "./host-ports.ts";
import { LogStatus } from "./secondary/log-status.ts";
import { Warnings } from "./ports/warnings.ts";
import { messageOf } from "../runtime/operator-error.ts";
import { judgeOrder } from "./control/order-evidence.ts";
import { Promotion } from "./control/promotion.ts";
import { Rehearsals } from "./rehearsals.ts";
import { selfReport } from "./self-report.ts";
import { notReady, whyNotDemoted, whyNotRestored } from "./control/refusals.ts";
import { SerialTask } from "./serial-task.ts";
import { StoreLog } from "../vault/log/store-log.ts";
import type { Term } from "./primary/term.ts";
import { endsWithin } from "../runtime/timeout.ts";
import type { Refusal } from "../core/refusal.ts";

export class Host implements Controlled {
  readonly instance: string;
  readonly gateways: GatewayWatch;
  readonly databases: DatabaseDesk;
  readonly #parts: HostPorts;
  readonly #log: LogStatus;
  readonly #warnings: Warnings;
  readonly #canary: Canary;
  readonly #stages = new SerialTask();
  readonly #duties: Duties;
  readonly #rehearsals: Rehearsals;
  #state: HostState = initialHostState;
  #promotion: Promotion | undefined;
  /** The orderly end of a term under way, or the last one: a demotion, or a service given up. Never rejects. */
  #leaving: Promise<void> = Promise.resolve();
  #demotePhases: ((event: DemoteEvent) => void) | undefined;
  /** This host could not stay primary, and has not been well as one since. */
  #retry: RetrySchedule | undefined;
  /** When the term that serves began to. */
  #servingSince: number | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(parts: Omit<HostPorts, "vaultLog">) {
    this.instance = Buffer.from(parts.random.bytes(8)).toString("hex");
    const tellChange = (): void => this.#tellChange();
    this.#warnings = new Warnings(parts.log, tellChange);
    const { clock, store, vaultId, canary: ports, config } = parts;
    const { id: host, diskStallMs } = config;
    this.#canary = new Canary({
      ports,
      clock,
      store,
      vaultId,
      host,
      instance: this.instance,
      diskStallMs,
      warnings: this.#warnings,
      onChange: tellChange,
    });
    this.gateways = new GatewayWatch({
      clock,
      warnings: this.#warnings,
      host,
      controlUrl: config.controlUrl,
      rules: parts.rules,
    });
    const freePort =
      config.application.port === undefined
        ? parts.freePort
        : (): Promise<number> => this.#rehearsals.gone().then(parts.freePort); // It may be a rehearsal's still.
    this.#parts = {
      ...parts,
      store: this.#canary.store,
      vaultLog: new StoreLog(this.#canary.store, config.service),
      freePort,
    };
    this.#log = new LogStatus({
      clock,
      host,
      instance: this.instance,
      onDuplicateId: (controlUrl) => this.#onDuplicateId(`its control API: ${controlUrl}`),
    });
    this.#duties = new Duties(this.#parts, this.instance, this.#log, this.#warnings, {
      dispatch: (event) => this.#dispatch(event),
      tellChange,
      explain: (reason, isTrouble) => this.#explain(reason, isTrouble),
      onDuplicateId: (how) => this.#onDuplicateId(how),
      readExclusions: () => this.databases.refresh(),
      promotion: () => this.#promotion,
      recordFormat: () => this.gateways.recordFormat,
      promote: (request, report) => this.promote(request, report),
    });
    this.databases = new DatabaseDesk({
      ...{ exclusions: parts.exclusions ?? null, clock, log: parts.log, warnings: this.#warnings },
      source: () => this.#duties.term?.source,
      followed: () => this.#duties.secondary?.replica.checksums().keys(),
      position: () => this.#duties.term?.position ?? this.#log.position,
    });
    this.#rehearsals = new Rehearsals({
      ground: parts.rehearsal,
      clock,
      log: parts.log,
      freePort: parts.freePort,
      onResult: (ok) => this.#onRehearsal(ok),
      onStray: (reason) => this.#dispatch({ kind: "cannot-follow", reason }),
    });
  }

  /** Begins the host's life: restores, then follows. */
  start(): void {
    if (this.#parts.canary !== undefined) this.gateways.start();
    this.#canary.start();
    this.#rehearsals.start();
    this.#perform({ kind: "restore", paced: false });
  }

  /**
   * Ends the host: a primary steps down first, so that nobody has to wait for its lease. Ends within a bounded time
   * also when the vault does not answer: what was not journaled was not acknowledged, so nothing is lost by that.
   */
  async stop(reason: string): Promise<void> {
    const { clock, config } = this.#parts;
    this.#stages.closeToNew();
    const stepDownMs = config.drainTimeoutMs + config.application.stopTimeoutMs + config.vaultTimeoutMs;
    if (!(await endsWithin(clock, stepDownMs, this.#stepDownBeforeStop(reason)))) {
      this.#warnings.warn(
        `not everything could be journaled within ${stepDownMs} ms: stopped without a vacate record, the next primary waits for the lease`,
      );
    }
    this.#rehearsals.cut(reason);
    this.#promotion?.refuse({ kind: "not_ready", reason });
    this.#duties.term?.cut(reason);
    const end = async (): Promise<void> => {
      await this.#stages.close(reason);
      await this.#duties.endTerm();
      await this.#duties.closeSecondary();
      await this.#rehearsals.end(reason);
    };
    this.gateways.stop();
    await this.#canary.stop();
    if (!(await endsWithin(clock, 2 * config.vaultTimeoutMs, end())))
      this.#warnings.warn("the vault does not answer: stopped without waiting for it");
  }

  /** Waits for whatever writes `vacate` in the state the host is in. */
  async #stepDownBeforeStop(reason: string): Promise<void> {
    switch (this.#state.kind) {
      case "starting":
      case "primary":
        return this.demote({ gateway: "", successor: null, reason }, () => undefined);
      case "draining":
      case "restoring":
        return this.#leaving; // It may be giving up just now.
      case "failed":
      case "secondary":
      case "claiming":
        return;
    }
  }

  status(): HostStatus {
    const { clock, config } = this.#parts;
    return selfReport({
      ...{
        config,
        instance: this.instance,
        state: this.#state,
        dataUrl: this.#dataUrl,
        suspects: this.#parts.front.suspects,
        now: clock.now(),
      },
      ...{
        log: this.#log,
        duties: this.#duties,
        warnings: this.#warnings,
        retry: this.#retry,
        canary: this.#canary,
        rehearsal: this.#rehearsals.last,
        recordFormat: this.gateways.recordFormat,
      },
    });
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** Settings that are part of the status have changed. */
  announce(): void {
    this.#tellChange();
  }

  async promote(request: PromoteRequest, report: (event: PromoteEvent) => void): Promise<void> {
    const promotion = new Promotion(this.#parts.clock, report);
    // Two gateways may order the same: the second hears what became of the first one's claim.
    while (this.#state.kind === "claiming") await this.changed();
    const secondary = this.#duties.secondary;
    const state = this.#state;
    if (state.kind === "primary" || state.kind === "starting") {
      return promotion.refuse({ kind: "epoch_taken", epoch: state.epoch, host: this.#parts.config.id });
    }
    if (state.kind !== "secondary" || secondary === undefined) return promotion.refuse(notReady(state));
    this.#rehearsals.cut("this host was asked to become primary");
    let verdict: WitnessVerdict;
    try {
      await secondary.follower.catchUp();
      verdict = await this.#judge(request, secondary.follower);
    } catch (error) {
      const reason = `the log cannot be read to its end: ${messageOf(error)}`;
      return promotion.refuse(this.#state.kind === "secondary" ? { kind: "not_ready", reason } : notReady(this.#state));
    }
    if (this.#state.kind !== "secondary") return promotion.refuse(notReady(this.#state));
    this.#parts.front.suspects.adopt(request.suspects ?? [], this.#parts.clock.now());
    if (this.#duties.secondary !== secondary)
      return promotion.refuse({ kind: "not_ready", reason: "it started to follow again meanwhile" });
    const obstacle =
      this.#duties.unlistedDatabases() ?? this.#parts.leftovers.obstacle(secondary.replica.checksums().keys());
    if (obstacle !== undefined) return promotion.refuse({ kind: "not_ready", reason: obstacle });
    if (verdict.kind === "refused") return promotion.refuse(verdict.refusal);
    promotion.overEpoch = secondary.follower.epoch?.epoch ?? 0;
    this.gateways.toldFormat(request.gateway, request.recordFormat ?? undefined);
    this.#promotion = promotion;
    this.#dispatch({ kind: "promote" });
    await promotion.over;
  }

  async demote(request: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void> {
    const reason = whyNotDemoted(this.#state, this.#duties.term, request.epoch ?? undefined);
    if (reason !== undefined) return report({ kind: "refused", refusal: { kind: "not_ready", reason } });
    this.#demotePhases = report;
    this.#dispatch({ kind: "demote", successor: request.successor ?? undefined, reason: request.reason });
    await this.#leaving;
  }

  async #stepDown({ successor, reason }: HostState & { kind: "draining" }, term: Term): Promise<void> {
    const report = this.#demotePhases;
    try {
      const position = await term.stepDown(successor, reason, (phase, ms) => report?.({ kind: "phase", phase, ms }));
      this.#log.wrote(position);
      this.#log.vacated(successor);
      if (successor !== undefined) this.#duties.handedOver(position);
      this.#dispatch({ kind: "vacated" });
      report?.({ kind: "done", position });
    } catch (error) {
      const failure = `stepping down failed: ${messageOf(error)}`;
      this.#dispatch({ kind: "must-stop", reason: failure });
      report?.({ kind: "refused", refusal: { kind: "not_ready", reason: failure } });
    }
  }

  clearSuspects = (): void => this.#parts.front.suspects.clear();

  restore(): Promise<Refusal | undefined> {
    const refusal = whyNotRestored(this.#state);
    if (refusal === undefined) {
      this.#retry = undefined;
      this.#dispatch({ kind: "restore" });
    }
    return Promise.resolve(refusal);
  }

  checkpoint = (): ReturnType<Controlled["checkpoint"]> =>
    checkpointOnDemand(this.#state.kind, this.#duties.term?.checkpointer);

  rehearse = (): ReturnType<Controlled["rehearse"]> => this.#rehearsals.run(this.#state.kind, this.#duties.secondary);

  /** One that went well shows that what kept this host from staying primary is mended. */
  #onRehearsal(ok: boolean): void {
    if (ok) this.#retry = undefined;
    this.#tellChange();
  }

  get #dataUrl(): string {
    const { dataUrl } = this.#parts.config;
    return dataUrl.endsWith(":0") ? `${dataUrl.slice(0, -1)}${this.#parts.front.port}` : dataUrl;
  }

  async #judge(request: PromoteRequest, follower: Follower): Promise<WitnessVerdict> {
    const { clock, config } = this.#parts;
    const verdict = await judgeOrder(request, follower, {
      clock,
      instance: this.instance,
      driftMarginMs: config.driftMarginMs,
      vaultId: () => this.#canary.vault.id,
    });
    if (verdict.kind === "refused" && verdict.refusal.kind === "other_log")
      this.#warnings.warn(verdict.refusal.reason, "log");
    else this.#warnings.over("log");
    return verdict;
  }

  #dispatch(event: HostEvent): void {
    const before = this.#state;
    const { state, effects } = stepHost(before, event, this.#parts.rules);
    this.#state = state;
    if (state.kind !== before.kind) {
      this.#parts.log.info(`${before.kind} -> ${state.kind}`, "reason" in state ? { reason: state.reason } : {});
    }
    for (const effect of effects) this.#perform(effect);
    if (state.kind !== "primary") this.#endService();
    if (state.kind !== "secondary") this.#rehearsals.cut(`this host is ${state.kind}`);
    this.#tellChange();
  }

  #tellChange(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }

  #perform(effect: HostEffect): void {
    const reason = "reason" in this.#state ? this.#state.reason : "no longer primary";
    switch (effect.kind) {
      case "shut-gate":
        this.#duties.term?.cut(reason);
        this.#promotion?.refuse({ kind: "not_ready", reason });
        return;
      case "restore":
        this.#promotion?.refuse({ kind: "not_ready", reason });
        return this.#begin((signal) => this.#duties.restore(signal, effect.paced ? this.#retry?.nextAt : undefined));
      case "follow":
        return this.#begin((signal) => this.#duties.follow(signal));
      case "claim":
        return this.#begin((signal) => this.#duties.claim(signal));
      case "take-over":
        return this.#begin((signal) => this.#duties.takeOver(signal));
      case "serve":
        return this.#serve();
      case "drain":
        return this.#drain();
      case "put-off":
        return this.#putOff(effect.reason);
      case "give-up":
        this.#parts.front.shut(effect.reason);
        this.#promotion?.refuse({ kind: "not_ready", reason: effect.reason });
        return this.#giveUp(effect.reason);
    }
  }

  /** Not a stage: it must not wait for the one that starts the application, which it ends. */
  #drain(): void {
    const term = this.#duties.term;
    if (term === undefined || this.#state.kind !== "draining") throw new Error("there is no term to drain");
    this.#leaving = this.#stepDown(this.#state, term);
  }

  /** Nor this; but the restore after it moves the files that the term has open, so it waits for it. */
  #giveUp(reason: string): void {
    const leaving = this.#duties.giveUp(reason);
    this.#leaving = leaving;
    this.#begin(async (signal) => {
      await leaving;
      await this.#duties.restore(signal);
    });
  }

  #begin(stage: (signal: AbortSignal) => Promise<void>): void {
    this.#stages.begin(stage, (error) => {
      this.#parts.log.error("stage failed", { reason: messageOf(error) });
      this.#dispatch({ kind: "stage-failed", reason: messageOf(error) });
    });
  }

  #serve(): void {
    const term = this.#duties.term;
    if (term === undefined) throw new Error("there is no term to serve");
    term.serve();
    this.#servingSince = this.#parts.clock.now();
    this.#promotion?.phase("ready");
    this.#promotion?.done(term.epoch, term.position, this.#dataUrl);
  }

  get #servedMs(): number {
    return this.#servingSince === undefined ? 0 : this.#parts.clock.now() - this.#servingSince;
  }

  #putOff(reason: string): void {
    this.#warnings.warn(reason);
    this.#retry = scheduleRetry(this.#retry, reason, this.#servedMs, this.#parts.clock.now());
    this.#servingSince = undefined;
  }

  #endService(): void {
    this.#retry = afterService(this.#retry, this.#servedMs);
    this.#servingSince = undefined;
  }

  #onDuplicateId(how: string): void {
    const { id } = this.#parts.config;
    const reason = `another running host has the same id "${id}" (${how}); give each host its own id, then restart this one`;
    this.#dispatch({ kind: "broken", reason });
  }

  /** Why this host is restoring still. */
  #explain(reason: string, isTrouble: boolean): void {
    if (this.#state.kind === "restoring" && this.#state.reason === reason) return;
    this.#dispatch({ kind: "restore-delayed", reason });
    if (isTrouble) this.#warnings.warn(reason, "restore");
    else this.#parts.log.info(reason);
  }
}
