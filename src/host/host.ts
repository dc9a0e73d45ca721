/**
 * The host: performs what src/core/host-life.ts decides, and answers the control API.
 *
 * Every change of state goes through `#dispatch`. Long effects (restore, follow, claim, take over, give up) are stages, one
 * at a time (stages.ts). What a term as primary holds is in `Term`; what a secondary holds is `#secondary`. Only one of the
 * two exists.
 */
import type { HostStatus } from "../control/host-status.ts";
import type { DemoteEvent, DemoteRequest, PromoteEvent, PromoteRequest } from "../control/messages.ts";
import { type HostEffect, type HostEvent, type HostState, initialHostState, stepHost } from "../core/host-life.ts";
import { judgePromotion, type Refusal, type WitnessVerdict } from "../core/witness.ts";
import type { CheckpointManifest } from "../vault/checkpoint.ts";
import { isVaultError } from "../vault/errors.ts";
import type { LogRecord } from "../vault/record.ts";
import { bootstrap } from "./bootstrap.ts";
import { claimEpoch, type Claimed } from "./claim.ts";
import type { Controlled } from "./control.ts";
import type { Follower } from "./follower.ts";
import type { HostParts, HostReplica } from "./host-parts.ts";
import type { JournalEnd } from "./journal.ts";
import { waitForLease } from "./lease-wait.ts";
import { LogView } from "./log-view.ts";
import { messageOf, Notices } from "./notices.ts";
import type { KnownPages } from "./ports.ts";
import { Promotion } from "./promotion.ts";
import { EmptyVaultError, restore } from "./restorer.ts";
import { Stages } from "./stages.ts";
import { Term } from "./term.ts";

interface Secondary {
  readonly follower: Follower;
  readonly replica: HostReplica;
}

/** Characters of a reason in a `vacate` record. */
const vacateReasonMax = 500;
/** Pause after a restore or a read that failed; it doubles up to the second. */
const retryMs = { first: 100, most: 3_000 } as const;

export class Host implements Controlled {
  readonly instance: string;
  readonly #parts: HostParts;
  readonly #log: LogView;
  readonly #notices: Notices;
  readonly #stages = new Stages();
  #state: HostState = initialHostState;
  #secondary: Secondary | undefined;
  #term: Term | undefined;
  #claimed: Claimed | undefined;
  #promotion: Promotion | undefined;
  #checkpoint: CheckpointManifest | undefined;
  #setAsides: string[] = [];
  #changed = Promise.withResolvers<void>();
  /** This host has just bootstrapped the vault: it becomes primary without being asked. */
  #promoteItself = false;

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.instance = Buffer.from(parts.random.bytes(8)).toString("hex");
    this.#notices = new Notices(parts.log, () => this.#tellChange());
    const onTwin = (controlUrl: string): void => this.#onTwin(controlUrl);
    this.#log = new LogView({ clock: parts.clock, host: parts.config.id, instance: this.instance, onTwin });
  }

  /** Begins the host's life: restores, then follows. */
  start(): void {
    this.#perform({ kind: "restore" });
  }

  /** Ends the host: a primary steps down first, so that nobody has to wait for its lease. */
  async stop(reason: string): Promise<void> {
    this.#stages.closeToNew();
    if (this.#state.kind === "primary" || this.#state.kind === "starting") {
      await this.demote({ gateway: "", successor: null, reason }, () => undefined);
    }
    this.#term?.cut(reason);
    await this.#stages.close(reason);
    await this.#endTerm();
    await this.#closeSecondary();
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
      position: this.#term?.position ?? this.#log.position,
      lastRecordAgeMs: this.#log.lastRecordAgeMs,
      vacated: epoch?.vacated ?? false,
      dataUrl: this.#dataUrl,
      controlUrl,
      priority,
      nofailover,
      leaseMs,
      checkpoint: this.#checkpoint === undefined ? null : { position: this.#checkpoint.position, wallTimeMs: this.#checkpoint.wallTimeMs },
      setAside: this.#setAsides,
      warnings: [...this.#notices.warnings],
    };
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }

  async promote(request: PromoteRequest, report: (event: PromoteEvent) => void): Promise<void> {
    const promotion = new Promotion(this.#parts.clock, report);
    const secondary = this.#secondary;
    const state = this.#state;
    if (state.kind === "primary" || state.kind === "starting") {
      return promotion.refuse({ kind: "epoch_taken", epoch: state.epoch, host: this.#parts.config.id });
    }
    if (state.kind !== "secondary" || secondary === undefined) return promotion.refuse(notReady(state));
    try {
      await secondary.follower.catchUp();
    } catch (error) {
      return promotion.refuse({ kind: "not_ready", reason: `the log cannot be read to its end: ${messageOf(error)}` });
    }
    const now = this.#state;
    if (now.kind !== "secondary") return promotion.refuse(notReady(now));
    const verdict = this.#judge(request, secondary.follower);
    if (verdict.kind === "refused") return promotion.refuse(verdict.refusal);
    this.#promotion = promotion;
    this.#dispatch({ kind: "promote" });
    await promotion.over;
  }

  async demote(request: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void> {
    const term = this.#term;
    if ((this.#state.kind !== "primary" && this.#state.kind !== "starting") || term === undefined) {
      return report({ kind: "refused", refusal: { kind: "not_ready", reason: `this host is ${this.#state.kind}, not primary` } });
    }
    const { successor, reason } = request;
    this.#dispatch({ kind: "demote", successor, reason });
    try {
      const position = await term.stepDown(successor, reason, (phase, ms) => report({ kind: "phase", phase, ms }));
      this.#log.wrote(position);
      this.#log.vacated();
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
    const term = this.#term;
    if (this.#state.kind !== "primary" || term === undefined) {
      return { kind: "refused", refusal: { kind: "not_ready", reason: `only a primary writes checkpoints; this host is ${this.#state.kind}` } };
    }
    try {
      return { kind: "done", done: await term.checkpointer.now("control API") };
    } catch (error) {
      return { kind: "refused", refusal: { kind: "not_ready", reason: `the checkpoint failed: ${messageOf(error)}` } };
    }
  }

  get #dataUrl(): string {
    return this.#parts.config.dataUrl.replace(/:0$/, `:${this.#parts.front.port}`);
  }

  #judge(request: PromoteRequest, { epoch, lastRecordSeenAt }: Follower): WitnessVerdict {
    const { clock, config } = this.#parts;
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
        this.#term?.cut(reason);
        this.#promotion?.refuse({ kind: "not_ready", reason });
        return;
      case "restore":
        this.#promotion?.refuse({ kind: "not_ready", reason });
        return this.#begin((signal) => this.#restore(signal));
      case "follow":
        return this.#begin((signal) => this.#follow(signal));
      case "claim":
        return this.#begin((signal) => this.#claim(signal));
      case "take_over":
        return this.#begin((signal) => this.#takeOver(signal));
      case "serve":
        return this.#serve();
      case "drain":
        return; // `demote` walks through it: it reports the phases
      case "give_up":
        this.#parts.front.shut(effect.reason);
        this.#promotion?.refuse({ kind: "not_ready", reason: effect.reason });
        return this.#begin(() => this.#giveUp(effect.reason));
    }
  }

  #begin(stage: (signal: AbortSignal) => Promise<void>): void {
    this.#stages.begin(stage, (error) => {
      this.#parts.log.error("stage failed", { reason: messageOf(error) });
      this.#dispatch({ kind: "broken", reason: messageOf(error) });
    });
  }

  async #restore(signal: AbortSignal): Promise<void> {
    await this.#endTerm();
    await this.#closeSecondary();
    let pauseMs: number = retryMs.first;
    while (!signal.aborted) {
      try {
        this.#log.rereads();
        return await this.#restoreOnce(signal);
      } catch (error) {
        if (signal.aborted) return;
        const isWaiting = error instanceof EmptyVaultError;
        this.#explain(messageOf(error), !isWaiting);
        await this.#pause(isWaiting ? retryMs.first : pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, retryMs.most);
      }
    }
  }

  async #restoreOnce(signal: AbortSignal): Promise<void> {
    const { config, store, clock, rules, local, openReplica, openSource, localChunk, log, compression } = this.#parts;
    if (config.bootstrap && (await bootstrap({ store, clock, openSource: () => openSource(undefined), compression }))) {
      log.info("bootstrapped the vault", { from: config.dataFolder });
      await local.mark({ kind: "secondary" });
      this.#promoteItself = true;
    }
    const { target, follower, checkpoint, setAside } = await restore<HostReplica>({
      store,
      service: config.service,
      clock,
      rules,
      local,
      openTarget: openReplica,
      localChunk,
      onWarning: (text) => this.#notices.warn(text),
      onRecord: (record) => this.#onRecord(record),
      signal,
    });
    if (signal.aborted) return target.close();
    this.#secondary = { follower, replica: target };
    this.#checkpoint = checkpoint;
    if (setAside !== undefined) this.#notices.warn(`data that was committed here but never acknowledged is set aside in ${setAside}`);
    this.#setAsides = await local.setAsides();
    this.#log.isCurrent(follower.epoch, follower.reader.position);
    this.#dispatch({ kind: "restored" });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { follower } = this.#assertSecondary();
    if (this.#promoteItself) {
      this.#promoteItself = false;
      const request = { gateway: "", epoch: 0, gatewaysRegistered: 0, gatewaysSeeingDown: [], planned: true };
      // It ends with a later stage, so it is not awaited here; its refusals are told in the status.
      this.promote(request, (event) => this.#onOwnPromotion(event)).catch((error: unknown) => this.#notices.warn(messageOf(error)));
    }
    let pauseMs: number = retryMs.first;
    while (!signal.aborted) {
      try {
        await follower.follow(this.#parts.config.pollMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!isStoreTrouble(error)) return this.#dispatch({ kind: "cannot_follow", reason: messageOf(error) });
        this.#notices.warn(`the vault cannot be read: ${messageOf(error)}`);
        await this.#pause(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, retryMs.most);
      }
    }
  }

  async #claim(signal: AbortSignal): Promise<void> {
    const { config, store, clock, random, rules } = this.#parts;
    const { leaseMs, controlUrl, id: host } = config;
    const onTrouble = (error: Error): void => this.#notices.warn(`the vault does not take records: ${messageOf(error)}`);
    try {
      const ports = { store, clock, random, rules, signal, onTrouble };
      const result = await claimEpoch(this.#assertSecondary().follower, { ...ports, host, leaseMs, controlUrl, instance: this.instance });
      switch (result.kind) {
        case "claimed":
          this.#claimed = result.claimed;
          this.#promotion?.phase("claim");
          return this.#dispatch({ kind: "claimed", epoch: result.claimed.writer.epoch });
        case "lost":
          this.#promotion?.refuse({ kind: "epoch_taken", epoch: result.epoch, host: result.host });
          return this.#dispatch({ kind: "claim_lost", host: result.host });
        case "void":
          return this.#dispatch({ kind: "claim_void" });
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isVaultError(error)) throw error;
      this.#dispatch({ kind: "cannot_follow", reason: messageOf(error) });
    }
  }

  async #takeOver(signal: AbortSignal): Promise<void> {
    const claimed = this.#claimed;
    if (claimed === undefined) throw new Error("there is no claim to take over with");
    const { config, local, clock, rules, predecessor } = this.#parts;
    const { writer } = claimed;
    const { leaseMs, controlUrl, driftMarginMs } = config;
    this.#log.wrote(writer.position, { epoch: writer.epoch, host: config.id, vacated: false, leaseMs, controlUrl, instance: this.instance });
    const known = this.#assertSecondary().replica.handOver();
    await this.#closeSecondary();
    const term = this.#newTerm(claimed, known);
    this.#term = term;
    const leaseOver = waitForLease({ claimed, clock, rules, driftMarginMs, predecessor, signal });
    leaseOver.catch(() => undefined); // Awaited below, unless the start fails first.
    try {
      // Durable before an application can commit here: a restart must not take its files for a copy of the journal.
      if (rules.has("persist-before-send")) await local.mark({ kind: "primary", epoch: writer.epoch });
      await term.openDatabases();
      this.#promotion?.phase("catch-up");
      signal.throwIfAborted();
      await term.startApplication();
      this.#promotion?.phase("start");
      await leaseOver;
      this.#promotion?.phase("lease");
    } catch (error) {
      if (signal.aborted) return;
      return this.#dispatch({ kind: "application_failed", reason: messageOf(error) });
    }
    if (!signal.aborted) this.#dispatch({ kind: "may_serve" });
  }

  #newTerm({ writer }: Claimed, known: KnownPages): Term {
    const { config, clock, rules, log, store, front, openSource, application, freePort, clean, compression } = this.#parts;
    return new Term({
      config,
      clock,
      rules,
      log,
      store,
      front,
      writer,
      base: this.#checkpoint,
      compression,
      openSource: () => openSource(known),
      application: application((reason) => this.#dispatch({ kind: "application_failed", reason })),
      freePort,
      clean: (newest) => clean(newest, writer.position, writer.claimPosition),
      onEnd: (end) => this.#onJournalEnd(end),
      onRecord: () => this.#log.wrote(writer.position),
      onCheckpoint: (manifest) => {
        this.#checkpoint = manifest;
        this.#tellChange();
      },
      onWarning: (text) => this.#notices.warn(text),
    });
  }

  #serve(): void {
    const term = this.#term;
    if (term === undefined) throw new Error("there is no term to serve");
    term.serve();
    this.#promotion?.phase("ready");
    this.#promotion?.done(term.epoch, term.position, this.#dataUrl);
  }

  /** The application cannot run here: with a `vacate` record the next primary need not wait for a lease. */
  async #giveUp(reason: string): Promise<void> {
    this.#notices.warn(reason);
    try {
      await this.#term?.stepDown(null, reason.slice(0, vacateReasonMax), () => undefined);
      this.#log.vacated();
    } catch (error) {
      this.#notices.warn(`no vacate record was written: ${messageOf(error)}`);
    }
    await this.#endTerm();
  }

  async #endTerm(): Promise<void> {
    const term = this.#term;
    if (term === undefined) return;
    term.cut("the term is over");
    await term.ended();
    this.#term = undefined;
  }

  async #closeSecondary(): Promise<void> {
    await this.#secondary?.replica.close();
    this.#secondary = undefined;
  }

  #assertSecondary(): Secondary {
    if (this.#secondary === undefined) throw new Error(`a host that is ${this.#state.kind} has nothing to follow with`);
    return this.#secondary;
  }

  #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    return this.#parts.clock.sleep(delayMs, signal).catch(() => undefined);
  }

  #onJournalEnd(end: JournalEnd): void {
    switch (end.kind) {
      case "fenced":
        return this.#dispatch({ kind: "fenced", host: end.host, epoch: end.epoch });
      case "must_stop":
        this.#notices.warn(end.reason);
        return this.#dispatch({ kind: "must_stop", reason: end.reason });
      case "unsupported":
        return this.#dispatch({ kind: "application_failed", reason: end.reason });
    }
  }

  #onOwnPromotion(event: PromoteEvent): void {
    if (event.kind === "refused") this.#notices.warn(`did not become primary after the bootstrap: ${JSON.stringify(event.refusal)}`);
  }

  #onRecord(record: LogRecord): void {
    if (this.#log.read(record)) this.#tellChange();
  }

  #onTwin(controlUrl: string): void {
    const { id } = this.#parts.config;
    const reason = `another running host has the same id "${id}" (its control API: ${controlUrl}); give each host an id of its own, then restart this one`;
    this.#dispatch({ kind: "broken", reason });
  }

  /** Why this host is restoring still. */
  #explain(reason: string, isTrouble: boolean): void {
    if (this.#state.kind !== "restoring" || this.#state.reason === reason) return;
    this.#state = { kind: "restoring", reason };
    if (isTrouble) this.#notices.warn(reason);
    this.#tellChange();
  }
}

const notReady = (state: HostState): Refusal => ({
  kind: "not_ready",
  reason: `this host is ${state.kind}${"reason" in state ? `: ${state.reason}` : ""}`,
});

const isStoreTrouble = (error: unknown): boolean => error instanceof Error && error.name === "StoreError";
