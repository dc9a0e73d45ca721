/**
 * The long duties of a host: restore, follow, claim, take over, give up; and what they hold while they last.
 *
 * Each is one stage (serial-task.ts) and ends with an event. A secondary holds a replica and a follower, a primary a
 * term; the databases go from one to the other in `takeOver` and never belong to both.
 */
import type { PromoteEvent } from "../control/messages.ts";
import { describeUnmatched, unmatchedNames } from "../core/database-pattern.ts";
import { describeRefusal } from "../core/refusal.ts";
import type { CheckpointManifest } from "../vault/checkpoint/checkpoint.ts";
import type { LogRecord } from "../vault/record.ts";
import { retryUntilAnswered } from "../vault/store/retry.ts";
import { StoreError } from "../vault/store/store.ts";
import { DamagedDatabasesError } from "./secondary/bootstrap-check.ts";
import { claimEpoch, type Claimed } from "./primary/claim.ts";
import type { Follower } from "./secondary/follower.ts";
import { yieldToSuccessor } from "./secondary/yield-to-successor.ts";
import type { HostPorts, HostReplica } from "./host-ports.ts";
import type { JournalEnd } from "./primary/journal-end.ts";
import { waitForLeases } from "./primary/lease-wait.ts";
import type { Life } from "./life.ts";
import type { LogStatus } from "./secondary/log-status.ts";
import type { Warnings } from "./ports/warnings.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { KnownPages } from "./ports/ports.ts";
import { EmptyVaultError } from "./secondary/restorer.ts";
import { Restoring } from "./restoring.ts";
import { DivergedCopyError } from "./primary/verify-handoff.ts";
import { Term } from "./primary/term.ts";

export interface Secondary {
  readonly follower: Follower;
  readonly replica: HostReplica;
}

/** Characters of a reason in a `vacate` record. */
const vacateReasonMax = 500;
/** Pause after a read that failed; it doubles up to the second. */
const retryMs = { first: 100, most: 3_000 } as const;

export class Duties {
  /** When the last term ended, or when this host began to live. */
  noTermSince: number;
  readonly #parts: HostPorts;
  readonly #instance: string;
  readonly #log: LogStatus;
  readonly #warnings: Warnings;
  readonly #life: Life;
  readonly #restoring: Restoring;
  #secondary: Secondary | undefined;
  #term: Term | undefined;
  #claimed: Claimed | undefined;
  #checkpoint: CheckpointManifest | undefined;
  #setAsides: readonly string[] = [];
  /** Of the `vacate` record that named a successor, until the restore that follows it. */
  #handedOverAt: number | undefined;
  /** This host has just bootstrapped the vault: it becomes primary without being asked. */
  #promoteItself = false;

  constructor(parts: HostPorts, instance: string, log: LogStatus, warnings: Warnings, life: Life) {
    this.#parts = parts;
    this.#instance = instance;
    this.#log = log;
    this.#warnings = warnings;
    this.#life = life;
    this.noTermSince = parts.clock.now();
    const onBootstrapped = (): void => void (this.#promoteItself = true);
    const onProgress = (text: string): void => life.explain(text, false);
    this.#restoring = new Restoring({
      parts,
      instance,
      warnings,
      onProgress,
      onBootstrapped,
      onRecord: (record) => this.#onRecord(record),
    });
  }

  get secondary(): Secondary | undefined {
    return this.#secondary;
  }

  get term(): Term | undefined {
    return this.#term;
  }

  /** The newest checkpoint that this host knows of. */
  get checkpoint(): CheckpointManifest | undefined {
    return this.#checkpoint;
  }

  /** Dated folders with diverged data, oldest first. */
  get setAsides(): readonly string[] {
    return this.#setAsides;
  }

  /** Monotonic time of the last successful operation on the vault; undefined: this host does none right now. */
  get vaultAnsweredAt(): number | undefined {
    return this.#term?.journal.lastPutStartedAt ?? this.#secondary?.follower.answeredAt;
  }

  /** This host has stepped down in favour of another, with the `vacate` record at `position`. */
  handedOver(position: number): void {
    this.#handedOverAt = position;
  }

  async restore(signal: AbortSignal, notBeforeMs?: number): Promise<void> {
    if (notBeforeMs !== undefined) await this.#pause(notBeforeMs - this.#parts.clock.now(), signal);
    const vacatedAt = this.#handedOverAt;
    this.#handedOverAt = undefined;
    // Before the term's databases are closed: folding them keeps this process from telling the gateway that it has
    // vacated.
    if (vacatedAt !== undefined)
      await yieldToSuccessor({ log: this.#parts.vaultLog, clock: this.#parts.clock, vacatedAt, signal });
    let isAlone = false;
    this.#restoring.begin();
    while (!signal.aborted) {
      try {
        await this.endTerm();
        await this.closeSecondary();
        // Before a file is moved: also an earlier run of this host may have left an application.
        isAlone ||= await this.#parts.leftovers.ensureNone();
        this.#log.rereads();
        return await this.#restoreOnce(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof DamagedDatabasesError)
          return this.#life.dispatch({ kind: "broken", reason: messageOf(error) });
        this.#life.explain(messageOf(error), !(error instanceof EmptyVaultError));
        await this.#restoring.pauseAfter(error, signal);
      }
    }
  }

  async #restoreOnce(signal: AbortSignal): Promise<void> {
    await this.#life.readExclusions();
    const { target, follower, checkpoint, setAside } = await this.#restoring.once(signal);
    if (signal.aborted) return target.close();
    this.#warnings.over("restore");
    this.#secondary = { follower, replica: target };
    this.#checkpoint = checkpoint;
    if (setAside !== undefined)
      this.#warnings.warn(
        `local data that is not in the journal (committed here, never acknowledged) is set aside in ${setAside}`,
      );
    this.#setAsides = await this.#parts.local.setAsides();
    this.#log.isCurrent(follower.epoch, follower.reader.position);
    const unlisted = this.unlistedDatabases();
    this.#life.dispatch(unlisted === undefined ? { kind: "restored" } : { kind: "broken", reason: unlisted });
  }

  /**
   * Why this host may not become primary although it is whole: it would not capture what the application writes into
   * these databases. undefined: every database of the journal matches `host.databases`.
   */
  unlistedDatabases(): string | undefined {
    const { config } = this.#parts;
    const names = unmatchedNames(
      this.#secondary?.replica.checksums().keys() ?? [],
      config.databases,
      config.databasesExcept,
    );
    return names.length === 0 ? undefined : describeUnmatched(names, config.databases);
  }

  async follow(signal: AbortSignal): Promise<void> {
    const { follower } = this.#assertSecondary();
    if (this.#promoteItself) {
      this.#promoteItself = false;
      const request = { gateway: "", epoch: 0, gatewaysRegistered: 0, gatewaysSeeingDown: [], planned: true };
      // It ends with a later stage, so it is not awaited here; its refusals are told in the status.
      this.#life
        .promote(request, (event) => this.#onOwnPromotion(event))
        .catch((error: unknown) => this.#warnings.warn(messageOf(error)));
    }
    let pauseMs: number = retryMs.first;
    while (!signal.aborted) {
      try {
        await follower.follow(this.#parts.config.pollMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StoreError))
          return this.#life.dispatch({ kind: "cannot-follow", reason: messageOf(error) });
        this.#warnings.warn(`the vault cannot be read: ${messageOf(error)}`, "vault");
        await this.#pause(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, retryMs.most);
      }
    }
  }

  async claim(signal: AbortSignal): Promise<void> {
    const { config, clock, random, rules, onClaim } = this.#parts;
    onClaim?.();
    const { leaseMs, controlUrl, id: host } = config;
    const onTrouble = (error: Error): void =>
      this.#warnings.warn(`the vault accepts no records: ${messageOf(error)}`, "vault");
    const { follower } = this.#assertSecondary();
    const overEpoch = this.#life.promotion()?.overEpoch ?? follower.epoch?.epoch ?? 0;
    try {
      const result = await claimEpoch(follower, {
        clock,
        random,
        rules,
        signal,
        onTrouble,
        host,
        leaseMs,
        controlUrl,
        instance: this.#instance,
        format: () => this.#life.recordFormat(),
        overEpoch,
      });
      switch (result.kind) {
        case "claimed":
          this.#claimed = result.claimed;
          this.#life.promotion()?.phase("claim");
          return this.#life.dispatch({ kind: "claimed", epoch: result.claimed.writer.epoch });
        case "lost":
          this.#life.promotion()?.refuse({ kind: "epoch_taken", epoch: result.epoch, host: result.host });
          return this.#life.dispatch({ kind: "claim-lost", host: result.host });
        case "outrun":
          this.#life.promotion()?.refuse({
            kind: "primary_alive",
            evidence: `${result.host} writes in the vault faster than ${host} could claim the next epoch`,
          });
          return this.#life.dispatch({ kind: "claim-lost", host: result.host });
        case "unwritten":
          this.#life.promotion()?.refuse({
            kind: "not_ready",
            reason: `the vault does not take the claim of this host: ${result.trouble}`,
          });
          return this.#life.dispatch({ kind: "claim-unwritten" });
        case "void":
          return this.#life.dispatch({ kind: "claim-void" });
      }
    } catch (error) {
      if (signal.aborted) return;
      // Whatever it is, a restore finds out whether it lasts; a host that gave up here would stay away for good.
      this.#life.dispatch({ kind: "cannot-follow", reason: `the claim failed: ${messageOf(error)}` });
    }
  }

  async takeOver(signal: AbortSignal): Promise<void> {
    const claimed = this.#claimed;
    if (claimed === undefined) throw new Error("there is no claim to take over with");
    const { config, local, clock, random, rules, predecessor: probe } = this.#parts;
    const { writer, predecessors } = claimed;
    const { leaseMs, controlUrl, driftMarginMs } = config;
    this.#log.wrote(writer.position, {
      epoch: writer.epoch,
      host: config.id,
      vacated: false,
      leaseMs,
      controlUrl,
      instance: this.#instance,
    });
    const { follower, replica } = this.#assertSecondary();
    await follower.end();
    let known: KnownPages;
    try {
      known = replica.handOver();
    } catch (error) {
      // Somebody else wrote into the copy: like one that capture finds to be another, below.
      return this.#life.dispatch({ kind: "must-stop", reason: messageOf(error) });
    }
    await this.closeSecondary();
    const term = this.#newTerm(claimed, known);
    this.#term = term;
    const leaseOver = waitForLeases({
      predecessors,
      instance: this.#instance,
      clock,
      rules,
      driftMarginMs,
      probe,
      signal,
    });
    leaseOver.catch(() => undefined); // Awaited below, unless the start fails first.
    try {
      // Durable before an application can commit here: a restart must not take its files for a copy of the journal.
      const marked = rules.has("persist-before-send")
        ? local.mark({ kind: "primary", epoch: writer.epoch })
        : undefined;
      await Promise.all([marked, retryUntilAnswered({ clock, random, signal }, () => this.#life.readExclusions())]);
      await term.openDatabases();
      this.#life.promotion()?.phase("catch-up");
      signal.throwIfAborted();
      await term.startApplication();
      this.#life.promotion()?.phase("start");
      await leaseOver;
      this.#life.promotion()?.phase("lease");
    } catch (error) {
      if (signal.aborted) return;
      // The copy here is wrong, not the application: a restore mends it.
      const kind = error instanceof DivergedCopyError ? "must-stop" : "application-failed";
      return this.#life.dispatch({ kind, reason: messageOf(error) });
    }
    if (!signal.aborted) this.#life.dispatch({ kind: "may-serve" });
  }

  #newTerm({ writer, wallAheadMs }: Claimed, known: KnownPages): Term {
    const { config, clock, rules, log, metrics, store, front, openSource, application, freePort, clean, compression } =
      this.#parts;
    return new Term({
      config,
      clock,
      rules,
      log,
      metrics,
      store,
      front,
      writer,
      wallAheadMs,
      base: this.#checkpoint,
      compression,
      openSource: () => openSource(known, this.#warnings),
      application: application({
        onGaveUp: (reason) => this.#life.dispatch({ kind: "application-failed", reason }),
        onChange: () => this.#life.tellChange(),
        onWarning: (text) => this.#warnings.warn(text),
        commits: () => this.#term?.journal.commits ?? 0,
      }),
      freePort,
      clean: (newest) => clean(newest, writer.position, writer.claimPosition),
      onEnd: (end) => this.#onJournalEnd(end),
      onRecord: () => {
        this.#warnings.over("vault");
        this.#log.wrote(writer.position);
      },
      onCheckpoint: (manifest) => {
        this.#checkpoint = manifest;
        this.#warnings.over("checkpoint");
        this.#life.tellChange();
      },
      onCheckpointFailed: (reason) => this.#warnings.warn(`checkpoint failed: ${reason}`, "checkpoint"),
      onWarning: (text) => this.#warnings.warn(text),
    });
  }

  /**
   * The application cannot run here now: with a `vacate` record the next primary need not wait for a lease. Never
   * rejects.
   */
  async giveUp(reason: string): Promise<void> {
    try {
      await this.#term?.stepDown(undefined, reason.slice(0, vacateReasonMax), () => undefined);
      this.#log.vacated();
    } catch (error) {
      this.#warnings.warn(`no vacate record was written: ${messageOf(error)}`);
    }
  }

  async endTerm(): Promise<void> {
    const term = this.#term;
    if (term === undefined) return;
    term.cut("the term is over");
    await term.ended();
    this.#term = undefined;
    this.noTermSince = this.#parts.clock.now();
  }

  async closeSecondary(): Promise<void> {
    const secondary = this.#secondary;
    await secondary?.follower.end();
    await secondary?.replica.close();
    this.#secondary = undefined;
  }

  #assertSecondary(): Secondary {
    if (this.#secondary === undefined) throw new Error(`this host has nothing to follow with`);
    return this.#secondary;
  }

  #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    return this.#parts.clock.sleep(delayMs, signal).catch(() => undefined);
  }

  #onJournalEnd(end: JournalEnd): void {
    switch (end.kind) {
      case "fenced":
        // This process lives and has not claimed again: only another process with this id can have.
        if (end.host === this.#parts.config.id) return this.#life.onDuplicateId(`it claimed epoch ${end.epoch}`);
        return this.#life.dispatch({ kind: "fenced", host: end.host, epoch: end.epoch });
      case "must-stop":
        this.#warnings.warn(end.reason);
        return this.#life.dispatch({ kind: "must-stop", reason: end.reason });
      case "unsupported":
        return this.#life.dispatch({ kind: "application-failed", reason: end.reason });
    }
  }

  #onOwnPromotion(event: PromoteEvent): void {
    if (event.kind === "refused")
      this.#warnings.warn(`did not become primary after the bootstrap: ${describeRefusal(event.refusal)}`);
  }

  #onRecord(record: LogRecord): void {
    this.#warnings.over("vault");
    if (this.#log.read(record)) this.#life.tellChange();
  }
}
