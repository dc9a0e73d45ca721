/**
 * The host: performs what src/core/host-life.ts decides, and answers the control API.
 *
 * Every change of state goes through `#dispatch`. Long effects (restore, follow, claim, take over, give up) are stages, one at a
 * time (stages.ts); what they do, and what they hold while they last, is in duties.ts.
 */
import { type HostStatus, untold } from "../control/host-status.ts";
import type { DemoteEvent, DemoteRequest, PromoteEvent, PromoteRequest } from "../control/messages.ts";
import { type HostEffect, type HostEvent, type HostState, initialHostState, stepHost } from "../core/host-life.ts";
import { judgeAge, judgePromotion, type Refusal, type WitnessVerdict } from "../core/witness.ts";
import type { Controlled } from "./control.ts";
import { Duties } from "./duties.ts";
import type { Follower } from "./follower.ts";
import type { HostParts } from "./host-parts.ts";
import { LogView } from "./log-view.ts";
import { messageOf, Notices } from "./notices.ts";
import { Promotion } from "./promotion.ts";
import { Stages } from "./stages.ts";
import type { Term } from "./term.ts";
import { endsWithin } from "./time-limit.ts";

/** Of the folders with set-aside data the newest are shown; all are kept. */
const setAsidesShown = 20;

export class Host implements Controlled {
  readonly instance: string;
  readonly #parts: HostParts;
  readonly #log: LogView;
  readonly #notices: Notices;
  readonly #stages = new Stages();
  readonly #duties: Duties;
  #state: HostState = initialHostState;
  #promotion: Promotion | undefined;
  /** The demotion under way, or the last one. */
  #demotion: Promise<void> | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.instance = Buffer.from(parts.random.bytes(8)).toString("hex");
    const tellChange = (): void => this.#tellChange();
    this.#notices = new Notices(parts.log, tellChange);
    const onTwin = (controlUrl: string): void => this.#onTwin(`its control API: ${controlUrl}`);
    this.#log = new LogView({ clock: parts.clock, host: parts.config.id, instance: this.instance, onTwin });
    this.#duties = new Duties(parts, this.instance, this.#log, this.#notices, {
      dispatch: (event) => this.#dispatch(event),
      tellChange,
      explain: (reason, isTrouble) => this.#explain(reason, isTrouble),
      onTwin: (how) => this.#onTwin(how),
      promotion: () => this.#promotion,
      promote: (request, report) => this.promote(request, report),
    });
  }

  /** Begins the host's life: restores, then follows. */
  start(): void {
    this.#perform({ kind: "restore" });
  }

  /**
   * Ends the host: a primary steps down first, so that nobody has to wait for its lease. Ends within a bounded time also when
   * the vault does not answer: what was not journaled was not acknowledged, so nothing is lost by that.
   */
  async stop(reason: string): Promise<void> {
    const { clock, config } = this.#parts;
    this.#stages.closeToNew();
    const stepDownMs = config.drainTimeoutMs + config.application.stopTimeoutMs + config.vaultTimeoutMs;
    if (!(await endsWithin(clock, stepDownMs, this.#stepDownBeforeStop(reason)))) {
      this.#notices.warn(`not everything could be journaled within ${stepDownMs} ms: stopped without a vacate record, the next primary waits for the lease`);
    }
    this.#promotion?.refuse({ kind: "not_ready", reason });
    this.#duties.term?.cut(reason);
    const end = async (): Promise<void> => {
      await this.#stages.close(reason);
      await this.#duties.endTerm();
      await this.#duties.closeSecondary();
    };
    if (!(await endsWithin(clock, 2 * config.vaultTimeoutMs, end()))) this.#notices.warn("the vault does not answer: stopped without waiting for it any longer");
  }

  /** Waits for whatever writes `vacate` in the state the host is in. */
  async #stepDownBeforeStop(reason: string): Promise<void> {
    switch (this.#state.kind) {
      case "starting":
      case "primary":
        return this.demote({ gateway: "", successor: null, reason }, () => undefined);
      case "draining":
        return this.#demotion;
      case "failed":
        return this.#stages.settled(); // It may be giving up just now.
      case "restoring":
      case "secondary":
      case "claiming":
        return;
    }
  }

  status(): HostStatus {
    const { config } = this.#parts;
    const state = this.#state;
    const { epoch } = this.#log;
    const { service, controlUrl, priority, nofailover, leaseMs } = config;
    return {
      version: 1,
      service,
      host: config.id,
      instance: this.instance,
      role: state.kind,
      reason: "reason" in state ? state.reason : null,
      epoch: epoch?.epoch ?? 0,
      epochHost: epoch?.host ?? null,
      position: this.#duties.term?.position ?? this.#log.position,
      lastRecordAgeMs: this.#log.lastRecordAgeMs,
      vaultSilentMs: this.#vaultSilentMs,
      clockMs: this.#parts.clock.now(),
      handover: this.#log.handover,
      vacated: epoch?.vacated ?? false,
      dataUrl: this.#dataUrl,
      controlUrl,
      priority,
      nofailover,
      leaseMs,
      checkpoint: this.#duties.checkpoint === undefined ? null : { position: this.#duties.checkpoint.position, wallTimeMs: this.#duties.checkpoint.wallTimeMs },
      setAside: this.#duties.setAsides.slice(-setAsidesShown),
      ...untold,
      warnings: [...this.#notices.warnings],
    };
  }

  changed(): Promise<void> {
    return this.#changed.promise;
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
    try {
      await secondary.follower.catchUp();
    } catch (error) {
      const reason = `the log cannot be read to its end: ${messageOf(error)}`;
      return promotion.refuse(this.#state.kind === "secondary" ? { kind: "not_ready", reason } : notReady(this.#state));
    }
    const now = this.#state;
    if (now.kind !== "secondary") return promotion.refuse(notReady(now));
    const unlisted = this.#duties.unlistedDatabases();
    if (unlisted !== undefined) return promotion.refuse({ kind: "not_ready", reason: unlisted });
    const verdict = this.#judge(request, secondary.follower);
    if (verdict.kind === "refused") return promotion.refuse(verdict.refusal);
    promotion.overEpoch = secondary.follower.epoch?.epoch ?? 0;
    this.#promotion = promotion;
    this.#dispatch({ kind: "promote" });
    await promotion.over;
  }

  async demote(request: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void> {
    const term = this.#duties.term;
    if ((this.#state.kind !== "primary" && this.#state.kind !== "starting") || term === undefined) {
      return report({ kind: "refused", refusal: { kind: "not_ready", reason: `this host is ${this.#state.kind}, not primary` } });
    }
    this.#dispatch({ kind: "demote", successor: request.successor, reason: request.reason });
    this.#demotion = this.#stepDown(term, request, report);
    await this.#demotion;
  }

  async #stepDown(term: Term, { successor, reason }: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void> {
    try {
      const position = await term.stepDown(successor, reason, (phase, ms) => report({ kind: "phase", phase, ms }));
      this.#log.wrote(position);
      this.#log.vacated(successor);
      if (successor !== null) this.#duties.handedOver(position);
      this.#dispatch({ kind: "vacated" });
      report({ kind: "done", position });
    } catch (error) {
      const failure = `stepping down failed: ${messageOf(error)}`;
      this.#dispatch({ kind: "must_stop", reason: failure });
      report({ kind: "refused", refusal: { kind: "not_ready", reason: failure } });
    }
  }

  restore(): Promise<Refusal | undefined> {
    switch (this.#state.kind) {
      case "restoring":
      case "secondary":
      case "failed":
        this.#dispatch({ kind: "restore" });
        return Promise.resolve(undefined);
      case "claiming":
      case "starting":
      case "primary":
      case "draining":
        return Promise.resolve({ kind: "not_ready", reason: `this host is ${this.#state.kind}: demote it first` });
    }
  }

  async checkpoint(): ReturnType<Controlled["checkpoint"]> {
    const term = this.#duties.term;
    if (this.#state.kind !== "primary" || term === undefined) {
      return { kind: "refused", refusal: { kind: "not_ready", reason: `only a primary writes checkpoints; this host is ${this.#state.kind}` } };
    }
    try {
      return { kind: "done", done: await term.checkpointer.now("control API") };
    } catch (error) {
      return { kind: "refused", refusal: { kind: "not_ready", reason: `the checkpoint failed: ${messageOf(error)}` } };
    }
  }

  get #vaultSilentMs(): number | null {
    const { term, secondary } = this.#duties;
    const since = term?.journal.lastPutStartedAt ?? secondary?.follower.answeredAt;
    return since === undefined ? null : this.#parts.clock.now() - since;
  }

  get #dataUrl(): string {
    const { dataUrl } = this.#parts.config;
    return dataUrl.endsWith(":0") ? `${dataUrl.slice(0, -1)}${this.#parts.front.port}` : dataUrl;
  }

  #judge(request: PromoteRequest, { epoch, lastRecordSeenAt }: Follower): WitnessVerdict {
    const { clock, config } = this.#parts;
    const expired = judgeAge(request.basedOn, this.instance, clock.now());
    if (expired !== undefined) return { kind: "refused", refusal: expired };
    const { planned, gatewaysRegistered, gatewaysSeeingDown } = request;
    return judgePromotion(
      { planned, epoch: request.epoch, gatewaysRegistered, gatewaysSeeingDown: gatewaysSeeingDown.length },
      {
        epoch: epoch?.epoch ?? 0,
        epochHost: epoch?.host ?? null,
        vacated: epoch?.vacated ?? false,
        lastRecordAgeMs: lastRecordSeenAt === undefined ? Number.POSITIVE_INFINITY : clock.now() - lastRecordSeenAt,
        leaseMs: (epoch?.leaseMs ?? 0) + config.driftMarginMs,
      },
    );
  }

  #dispatch(event: HostEvent): void {
    const before = this.#state;
    const { state, effects } = stepHost(before, event);
    this.#state = state;
    if (state.kind !== before.kind) {
      this.#parts.log.info(`${before.kind} -> ${state.kind}`, "reason" in state ? { reason: state.reason } : {});
    }
    for (const effect of effects) this.#perform(effect);
    this.#tellChange();
  }

  #tellChange(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }

  #perform(effect: HostEffect): void {
    const reason = "reason" in this.#state ? this.#state.reason : "not primary any more";
    switch (effect.kind) {
      case "shut_gate":
        this.#duties.term?.cut(reason);
        this.#promotion?.refuse({ kind: "not_ready", reason });
        return;
      case "restore":
        this.#promotion?.refuse({ kind: "not_ready", reason });
        return this.#begin((signal) => this.#duties.restore(signal));
      case "follow":
        return this.#begin((signal) => this.#duties.follow(signal));
      case "claim":
        return this.#begin((signal) => this.#duties.claim(signal));
      case "take_over":
        return this.#begin((signal) => this.#duties.takeOver(signal));
      case "serve":
        return this.#serve();
      case "drain":
        return; // `demote` walks through it: it reports the phases
      case "give_up":
        this.#parts.front.shut(effect.reason);
        this.#promotion?.refuse({ kind: "not_ready", reason: effect.reason });
        return this.#begin(() => this.#duties.giveUp(effect.reason));
    }
  }

  #begin(stage: (signal: AbortSignal) => Promise<void>): void {
    this.#stages.begin(stage, (error) => {
      this.#parts.log.error("stage failed", { reason: messageOf(error) });
      this.#dispatch({ kind: "broken", reason: messageOf(error) });
    });
  }

  #serve(): void {
    const term = this.#duties.term;
    if (term === undefined) throw new Error("there is no term to serve");
    term.serve();
    this.#promotion?.phase("ready");
    this.#promotion?.done(term.epoch, term.position, this.#dataUrl);
  }

  #onTwin(how: string): void {
    const { id } = this.#parts.config;
    const reason = `another running host has the same id "${id}" (${how}); give each host an id of its own, then restart this one`;
    this.#dispatch({ kind: "broken", reason });
  }

  /** Why this host is restoring still. */
  #explain(reason: string, isTrouble: boolean): void {
    if (this.#state.kind !== "restoring" || this.#state.reason === reason) return;
    this.#state = { kind: "restoring", reason };
    if (isTrouble) this.#notices.warn(reason, "restore");
    else this.#parts.log.info(reason);
    this.#tellChange();
  }
}

const notReady = (state: HostState): Refusal => ({
  kind: "not_ready",
  reason: `this host is ${state.kind}${"reason" in state ? `: ${state.reason}` : ""}`,
});
