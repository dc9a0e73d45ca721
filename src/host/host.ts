/**
 * The host: performs what src/core/host-life.ts decides, and answers the control API.
 *
 * Every change of state goes through `#dispatch`. Effects are started in order; each long one (restore, follow, claim,
 * take over, drain) belongs to a stage, and a stage is aborted when the next begins. What a term as primary holds is in
 * `Term`; what a secondary holds is `#secondary`. Only one of the two exists.
 */
import type { HostConfig } from "../config/types.ts";
import type { HostStatus } from "../control/host-status.ts";
import type { DemoteEvent, DemoteRequest, PromoteEvent, PromotePhase, PromoteRequest } from "../control/messages.ts";
import { type HostEffect, type HostEvent, type HostState, initialHostState, stepHost } from "../core/host-life.ts";
import { type Predecessor, servesFrom } from "../core/lease.ts";
import type { Rules } from "../core/rules.ts";
import { judgePromotion, type Refusal } from "../core/witness.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { Random } from "../runtime/random.ts";
import type { CheckpointManifest } from "../vault/checkpoint.ts";
import type { Compression } from "../vault/chunk-codec.ts";
import { isVaultError } from "../vault/errors.ts";
import { type ClaimOutcome, LogWriter } from "../vault/log-writer.ts";
import type { LogRecord } from "../vault/record.ts";
import type { Store } from "../vault/store.ts";
import { bootstrap } from "./bootstrap.ts";
import type { Controlled } from "./control.ts";
import type { EpochSeen, Follower } from "./follower.ts";
import type { FrontPort } from "./front.ts";
import type { JournalEnd } from "./journal.ts";
import type { LocalPort } from "./local-data.ts";
import type { CaptureSource, KnownPages, PredecessorProbe } from "./ports.ts";
import { EmptyVaultError, restore, type RestoreTarget } from "./restorer.ts";
import { type SupervisedApplication, Term } from "./term.ts";

/** A replica that can hand its page hashes on, so that a promotion need not read the database. */
export interface HostReplica extends RestoreTarget {
  handOver(): KnownPages;
}

/** Everything a host needs from the world. */
export interface HostParts {
  readonly config: HostConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly rules: Rules;
  readonly log: Log;
  readonly store: Store;
  /** Of checkpoints; default: zstd on the thread pool. */
  readonly compression?: Compression;
  readonly front: FrontPort;
  readonly local: LocalPort;
  readonly predecessor: PredecessorProbe;
  readonly openReplica: () => Promise<HostReplica>;
  readonly openSource: (known: KnownPages | undefined) => Promise<CaptureSource>;
  readonly localChunk: (name: string, offset: number, length: number, hash: string) => Promise<Uint8Array | undefined>;
  readonly application: (onGaveUp: (reason: string) => void) => SupervisedApplication;
  readonly freePort: () => Promise<number>;
  /** Removes what no restore needs any more. */
  readonly clean: (newest: CheckpointManifest, logPosition: number, noEpochAfter: number) => Promise<void>;
}

interface Secondary {
  readonly follower: Follower;
  readonly replica: HostReplica;
}

/** A promotion under way, with the gateway that listens to its phases. */
interface Promotion {
  readonly report: (event: PromoteEvent) => void;
  readonly over: () => void;
  since: number;
}

interface Claimed {
  readonly outcome: ClaimOutcome & { kind: "claimed" };
  readonly predecessor: Predecessor;
  readonly before: EpochSeen | undefined;
}

const warningsKept = 20;
/** Characters of a reason in a `vacate` record. */
const vacateReasonMax = 500;
const restoreRetryMs = { first: 100, most: 3_000 } as const;

export class Host implements Controlled {
  readonly instance: string;
  readonly #parts: HostParts;
  #state: HostState = initialHostState;
  #stage = new AbortController();
  #secondary: Secondary | undefined;
  #term: Term | undefined;
  #claimed: Claimed | undefined;
  #promotion: Promotion | undefined;
  #checkpoint: CheckpointManifest | undefined;
  #epoch: EpochSeen | undefined;
  #position = 0;
  #lastRecordAt: number | undefined;
  /** The log was read to its end at least once: an epoch of our own id after that is somebody else's. */
  #caughtUp = false;
  #setAsides: string[] = [];
  readonly #warnings: string[] = [];
  #changed = Promise.withResolvers<void>();
  /** Long effects, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #promoteItself = false;
  #isStopping = false;

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.instance = Buffer.from(parts.random.bytes(8)).toString("hex");
  }

  /** Begins the host's life: restores, then follows. */
  start(): void {
    this.#perform({ kind: "restore" });
  }

  /** Ends the host: a primary steps down first, so that nobody has to wait for its lease. */
  async stop(reason: string): Promise<void> {
    this.#isStopping = true;
    if (this.#state.kind === "primary" || this.#state.kind === "starting") {
      await this.demote({ gateway: "", successor: null, reason }, () => undefined);
    }
    this.#stage.abort(new Error(reason));
    this.#term?.cut(reason);
    await this.#work;
    await this.#endTerm();
    await this.#secondary?.replica.close();
    this.#secondary = undefined;
  }

  status(): HostStatus {
    const { config, clock, front } = this.#parts;
    const state = this.#state;
    const last = this.#term === undefined ? this.#lastRecordAt : clock.now();
    return {
      version: 1,
      service: config.service,
      host: config.id,
      instance: this.instance,
      role: state.kind,
      reason: "reason" in state ? state.reason : null,
      epoch: this.#epoch?.epoch ?? 0,
      epochHost: this.#epoch?.host ?? null,
      position: this.#term?.position ?? this.#position,
      lastRecordAgeMs: last === undefined ? null : clock.now() - last,
      vacated: this.#epoch?.vacated ?? false,
      dataUrl: config.dataUrl.replace(/:0$/, `:${front.port}`),
      controlUrl: config.controlUrl,
      priority: config.priority,
      nofailover: config.nofailover,
      leaseMs: config.leaseMs,
      checkpoint: this.#checkpoint === undefined ? null : { position: this.#checkpoint.position, wallTimeMs: this.#checkpoint.wallTimeMs },
      setAside: this.#setAsides,
      warnings: this.#warnings,
    };
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }

  async promote(request: PromoteRequest, report: (event: PromoteEvent) => void): Promise<void> {
    const refuse = (refusal: Refusal): void => report({ kind: "refused", refusal });
    const state = this.#state;
    const secondary = this.#secondary;
    if (state.kind === "primary" || state.kind === "starting") {
      return refuse({ kind: "epoch_taken", epoch: state.epoch, host: this.#parts.config.id });
    }
    if (state.kind !== "secondary" || secondary === undefined) {
      return refuse({ kind: "not_ready", reason: `this host is ${state.kind}${"reason" in state ? `: ${state.reason}` : ""}` });
    }
    const startedAt = this.#parts.clock.now();
    try {
      await secondary.follower.catchUp();
    } catch (error) {
      return refuse({ kind: "not_ready", reason: `the log cannot be read to its end: ${messageOf(error)}` });
    }
    if (this.#state.kind !== "secondary") return refuse({ kind: "not_ready", reason: `this host is ${this.#state.kind} meanwhile` });
    const verdict = this.#judge(request, secondary.follower);
    if (verdict.kind === "refused") return refuse(verdict.refusal);
    await new Promise<void>((over) => {
      this.#promotion = { report, over, since: startedAt };
      this.#dispatch({ kind: "promote" });
    });
  }

  async demote(request: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void> {
    const term = this.#term;
    if ((this.#state.kind !== "primary" && this.#state.kind !== "starting") || term === undefined) {
      return report({ kind: "refused", refusal: { kind: "not_ready", reason: `this host is ${this.#state.kind}, not primary` } });
    }
    this.#dispatch({ kind: "demote", successor: request.successor, reason: request.reason });
    try {
      const position = await term.stepDown(request.successor, request.reason, (phase, ms) => report({ kind: "phase", phase, ms }));
      if (this.#epoch !== undefined) this.#epoch = { ...this.#epoch, vacated: true };
      this.#position = position;
      this.#dispatch({ kind: "vacated" });
      report({ kind: "done", position });
    } catch (error) {
      this.#dispatch({ kind: "must_stop", reason: `stepping down failed: ${messageOf(error)}` });
      report({ kind: "refused", refusal: { kind: "not_ready", reason: `stepping down failed: ${messageOf(error)}` } });
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

  #judge(request: PromoteRequest, follower: Follower): ReturnType<typeof judgePromotion> {
    const epoch = follower.epoch;
    const seenAt = follower.lastRecordSeenAt;
    return judgePromotion(
      {
        planned: request.planned,
        epoch: request.epoch,
        gatewaysRegistered: request.gatewaysRegistered,
        gatewaysSeeingDown: request.gatewaysSeeingDown.length,
      },
      {
        epoch: epoch?.epoch ?? 0,
        epochHost: epoch?.host ?? null,
        vacated: epoch?.vacated ?? false,
        lastRecordAgeMs: seenAt === undefined ? Number.POSITIVE_INFINITY : this.#parts.clock.now() - seenAt,
        leaseMs: (epoch?.leaseMs ?? 0) + this.#parts.config.driftMarginMs,
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
    switch (effect.kind) {
      case "shut_gate":
        this.#term?.cut("reason" in this.#state ? this.#state.reason : "not primary");
        this.#endPromotion({ kind: "not_ready", reason: "reason" in this.#state ? this.#state.reason : "stopped" });
        return;
      case "restore":
        this.#endPromotion({ kind: "not_ready", reason: "reason" in this.#state ? this.#state.reason : "restoring" });
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
        this.#endPromotion({ kind: "not_ready", reason: effect.reason });
        return this.#begin(() => this.#giveUp(effect.reason));
    }
  }

  /** Starts a stage: the one before is aborted, and the new one begins when it has ended. */
  #begin(stage: (signal: AbortSignal) => Promise<void>): void {
    this.#stage.abort(new Error("the next stage begins"));
    const controller = new AbortController();
    this.#stage = controller;
    this.#work = this.#work
      .then(() => (controller.signal.aborted || this.#isStopping ? undefined : stage(controller.signal)))
      .catch((error: unknown) => {
        if (controller.signal.aborted) return;
        this.#parts.log.error("stage failed", { reason: messageOf(error) });
        this.#dispatch({ kind: "broken", reason: messageOf(error) });
      });
  }

  async #restore(signal: AbortSignal): Promise<void> {
    await this.#endTerm();
    // What is read now is history again, with epochs of this host's earlier runs in it.
    this.#caughtUp = false;
    await this.#secondary?.replica.close();
    this.#secondary = undefined;
    let retryMs: number = restoreRetryMs.first;
    while (!signal.aborted) {
      try {
        await this.#restoreOnce(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#explain(messageOf(error), !(error instanceof EmptyVaultError));
        await this.#parts.clock.sleep(error instanceof EmptyVaultError ? restoreRetryMs.first : retryMs, signal).catch(() => undefined);
        retryMs = Math.min(retryMs * 2, restoreRetryMs.most);
      }
    }
  }

  async #restoreOnce(signal: AbortSignal): Promise<void> {
    const { config, store, clock, rules, local, openReplica, openSource, localChunk, log } = this.#parts;
    if (config.bootstrap && (await bootstrap({ store, clock, openSource: () => openSource(undefined), compression: this.#parts.compression }))) {
      log.info("bootstrapped the vault", { from: config.dataFolder });
      await local.mark({ kind: "secondary" });
      this.#promoteItself = true;
    }
    const restored = await restore<HostReplica>({
      store,
      service: config.service,
      clock,
      rules,
      local,
      openTarget: openReplica,
      localChunk,
      onWarning: (text) => this.#warn(text),
      onRecord: (record) => this.#onRecord(record),
      signal,
    });
    if (signal.aborted) {
      await restored.target.close();
      return;
    }
    this.#secondary = { follower: restored.follower, replica: restored.target };
    this.#checkpoint = restored.checkpoint;
    this.#epoch = restored.follower.epoch;
    this.#position = restored.follower.reader.position;
    if (restored.setAside !== undefined) this.#warn(`data that was committed here but never acknowledged is set aside in ${restored.setAside}`);
    this.#setAsides = await local.setAsides();
    this.#caughtUp = true;
    this.#dispatch({ kind: "restored" });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const follower = this.#secondary?.follower;
    if (follower === undefined) throw new Error("there is nothing to follow with");
    if (this.#promoteItself) {
      this.#promoteItself = false;
      void this.promote({ gateway: "", epoch: 0, gatewaysRegistered: 0, gatewaysSeeingDown: [], planned: true }, () => undefined);
    }
    let retryMs: number = restoreRetryMs.first;
    while (!signal.aborted) {
      try {
        await follower.follow(this.#parts.config.pollMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isVaultError(error) || !isStoreTrouble(error)) {
          return this.#dispatch({ kind: "cannot_follow", reason: messageOf(error) });
        }
        this.#warn(`the vault cannot be read: ${messageOf(error)}`);
        await this.#parts.clock.sleep(retryMs, signal).catch(() => undefined);
        retryMs = Math.min(retryMs * 2, restoreRetryMs.most);
      }
    }
  }

  async #claim(signal: AbortSignal): Promise<void> {
    const { config, store, clock, random, rules } = this.#parts;
    const follower = this.#secondary?.follower;
    if (follower === undefined) throw new Error("there is nothing to claim with");
    const epochBefore = follower.epoch?.epoch ?? 0;
    for (;;) {
      if (rules.has("R1-claim-after-end-of-log")) await follower.catchUp();
      const before = follower.epoch;
      if (before !== undefined && before.epoch > epochBefore) {
        this.#endPromotion({ kind: "epoch_taken", epoch: before.epoch, host: before.host });
        return this.#dispatch({ kind: "claim_lost", host: before.host });
      }
      const predecessor = follower.predecessor();
      const { leaseMs, controlUrl, id: host } = config;
      const onTrouble = (error: Error): void => this.#warn(`the vault does not take records: ${messageOf(error)}`);
      const identity = { host, leaseMs, controlUrl, instance: this.instance };
      const outcome = await LogWriter.claim({ reader: follower.reader, store, clock, random, rules, signal, onTrouble, ...identity });
      switch (outcome.kind) {
        case "claimed":
          this.#claimed = { outcome, predecessor, before };
          this.#phase("claim");
          return this.#dispatch({ kind: "claimed", epoch: outcome.writer.epoch });
        case "void":
          return this.#dispatch({ kind: "claim_void" });
        case "beaten":
          break;
      }
    }
  }

  async #takeOver(signal: AbortSignal): Promise<void> {
    const claimed = this.#claimed;
    const secondary = this.#secondary;
    if (claimed === undefined || secondary === undefined) throw new Error("there is no claim to take over with");
    const { config, local, clock } = this.#parts;
    const claimedAt = clock.now();
    const { writer, record } = claimed.outcome;
    this.#epoch = { epoch: writer.epoch, host: config.id, vacated: false, leaseMs: config.leaseMs, controlUrl: config.controlUrl, instance: this.instance };
    const known = secondary.replica.handOver();
    await secondary.replica.close();
    this.#secondary = undefined;
    const term = this.#newTerm(claimed, known);
    this.#term = term;
    const leaseOver = this.#waitForLease(claimed, claimedAt, signal);
    leaseOver.catch(() => undefined);
    try {
      // Durable before an application can commit here: a restart must not take its files for a copy of the journal.
      if (this.#parts.rules.has("persist-before-send")) await local.mark({ kind: "primary", epoch: record.header.epoch });
      await term.openDatabases();
      this.#phase("catch-up");
      signal.throwIfAborted();
      await term.startApplication();
      this.#phase("start");
      await leaseOver;
      this.#phase("lease");
    } catch (error) {
      if (signal.aborted) return;
      return this.#dispatch({ kind: "application_failed", reason: messageOf(error) });
    }
    if (!signal.aborted) this.#dispatch({ kind: "may_serve" });
  }

  #newTerm(claimed: Claimed, known: KnownPages): Term {
    const { config, clock, rules, log, store, front, openSource, application, freePort, clean } = this.#parts;
    const { writer } = claimed.outcome;
    return new Term({
      config,
      clock,
      rules,
      log,
      store,
      front,
      writer,
      base: this.#checkpoint,
      compression: this.#parts.compression,
      openSource: () => openSource(known),
      application: application((reason) => this.#dispatch({ kind: "application_failed", reason })),
      freePort,
      clean: (newest) => clean(newest, writer.position, writer.claimPosition),
      onEnd: (end) => this.#onJournalEnd(end),
      onCheckpoint: (manifest) => {
        this.#checkpoint = manifest;
        this.#tellChange();
      },
      onWarning: (text) => this.#warn(text),
    });
  }

  /** R5: until the old lease is over, or the old primary is proven gone. */
  async #waitForLease(claimed: Claimed, claimedAt: number, signal: AbortSignal): Promise<void> {
    const { clock, config, predecessor, rules } = this.#parts;
    if (!rules.has("R5-wait-out-old-lease")) return;
    const until = servesFrom(claimedAt, claimed.predecessor, config.driftMarginMs);
    while (clock.now() < until && !signal.aborted) {
      if (claimed.before !== undefined) {
        const word = await predecessor.ask(claimed.before.controlUrl, claimed.before.instance, signal);
        if (word.kind !== "unknown") return;
      }
      await clock.sleep(Math.min(25, Math.max(0, until - clock.now())), signal).catch(() => undefined);
    }
  }

  #serve(): void {
    const term = this.#term;
    const { front, config } = this.#parts;
    if (term === undefined) throw new Error("there is no term to serve");
    term.serve();
    this.#phase("ready");
    const dataUrl = config.dataUrl.replace(/:0$/, `:${front.port}`);
    this.#finishPromotion({ kind: "done", epoch: term.epoch, position: term.position, dataUrl });
  }

  #onJournalEnd(end: JournalEnd): void {
    switch (end.kind) {
      case "fenced":
        return this.#dispatch({ kind: "fenced", host: end.host, epoch: end.epoch });
      case "must_stop":
        this.#warn(end.reason);
        return this.#dispatch({ kind: "must_stop", reason: end.reason });
      case "unsupported":
        return this.#dispatch({ kind: "application_failed", reason: end.reason });
    }
  }

  /** The application cannot run here: with a `vacate` record the next primary need not wait for a lease. */
  async #giveUp(reason: string): Promise<void> {
    this.#warn(reason);
    try {
      await this.#term?.stepDown(null, reason.slice(0, vacateReasonMax), () => undefined);
      if (this.#epoch !== undefined) this.#epoch = { ...this.#epoch, vacated: true };
    } catch (error) {
      this.#warn(`no vacate record was written: ${messageOf(error)}`);
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

  #onRecord(record: LogRecord): void {
    const { config, clock } = this.#parts;
    const { header, body } = record;
    this.#position = header.position;
    this.#lastRecordAt = clock.now();
    if (body.kind === "epoch") {
      const { leaseMs, controlUrl, instance } = body;
      this.#epoch = { epoch: header.epoch, host: header.host, vacated: false, leaseMs, controlUrl, instance };
      if (this.#caughtUp && header.host === config.id && instance !== this.instance) {
        const reason = `another running host has the same id "${config.id}" (its control API: ${controlUrl}); give each host an id of its own, then restart this one`;
        return this.#dispatch({ kind: "broken", reason });
      }
      this.#tellChange();
    } else if (body.kind === "vacate" && this.#epoch !== undefined) {
      this.#epoch = { ...this.#epoch, vacated: true };
      this.#tellChange();
    }
  }

  #phase(phase: PromotePhase): void {
    const promotion = this.#promotion;
    if (promotion === undefined) return;
    const now = this.#parts.clock.now();
    promotion.report({ kind: "phase", phase, ms: now - promotion.since });
    promotion.since = now;
  }

  #finishPromotion(event: PromoteEvent): void {
    const promotion = this.#promotion;
    this.#promotion = undefined;
    promotion?.report(event);
    promotion?.over();
  }

  #endPromotion(refusal: Refusal): void {
    this.#finishPromotion({ kind: "refused", refusal });
  }

  /** Why this host is restoring still. */
  #explain(reason: string, isTrouble: boolean): void {
    if (this.#state.kind !== "restoring" || this.#state.reason === reason) return;
    this.#state = { kind: "restoring", reason };
    if (isTrouble) this.#warn(reason);
    this.#tellChange();
  }

  #warn(text: string): void {
    this.#parts.log.warn(text);
    if (this.#warnings.at(-1) === text) return;
    this.#warnings.push(text);
    if (this.#warnings.length > warningsKept) this.#warnings.shift();
    this.#tellChange();
  }
}

const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const advice = "advice" in error && typeof error.advice === "string" ? ` (${error.advice})` : "";
  return error.message + advice;
};

const isStoreTrouble = (error: unknown): boolean => error instanceof Error && error.name === "StoreError";
