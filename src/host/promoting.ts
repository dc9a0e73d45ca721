/**
 * The way from secondary to primary: the claim (R1), and then every condition for the term to serve.
 *
 * The copy is handed over before capture opens it. That this host is a primary is durable before the application can
 * commit. Neither waits for the old lease, which runs out meanwhile (R5). The claim itself is in primary/claim.ts.
 */
import type { PromotePhase } from "../control/host-api.ts";
import type { HostEvent } from "../core/host/life.ts";
import type { RecordFormat } from "../core/record-format.ts";
import type { Refusal } from "../core/refusal.ts";
import { messageOf } from "../runtime/operator-error.ts";
import { retryUntilAnswered } from "../vault/store/retry.ts";
import type { HostPorts } from "./host-ports.ts";
import type { Hooks } from "./hooks.ts";
import type { KnownPages } from "./ports/ports.ts";
import type { Warnings } from "./ports/warnings.ts";
import { claimEpoch, type Claimed } from "./primary/claim.ts";
import type { JournalEnd } from "./primary/journal-end.ts";
import { waitForLeases } from "./primary/lease-wait.ts";
import { Term } from "./primary/term.ts";
import { DivergedCopyError } from "./primary/verify-handoff.ts";
import type { JournaledFiles } from "./secondary/files/file-replica.ts";
import type { Follower } from "./secondary/follower.ts";
import type { LogStatus } from "./secondary/log-status.ts";

export interface PromotingOptions {
  readonly ports: HostPorts;
  /** Id of this run of the host. */
  readonly instance: string;
  readonly logStatus: LogStatus;
  readonly warnings: Warnings;
  readonly hooks?: Hooks | undefined;
  /** Format of the next record that this host writes. */
  readonly recordFormat: () => RecordFormat;
  /** Rereads which databases operators excluded. Throws the vault's errors. */
  readonly readExclusions: () => Promise<void>;
  /** Receives the events of a term that ends by itself. */
  readonly onEvent: (event: HostEvent) => void;
  readonly onPhase: (phase: PromotePhase) => void;
  readonly onDuplicateId: (how: string) => void;
  readonly onChange: () => void;
}

/** What the replica knows of what it hands over. */
export interface HandedOverState {
  readonly known: KnownPages;
  readonly files?: JournaledFiles | undefined;
}

/** How a claim ended, and the claim itself if it is in the log. */
export interface ClaimEnd {
  readonly event: HostEvent;
  readonly claimed?: Claimed;
}

export class Promoting {
  readonly #options: PromotingOptions;

  constructor(options: PromotingOptions) {
    this.#options = options;
  }

  /** Claims the epoch after `overEpoch`; rejects when the signal is aborted. */
  async claim(follower: Follower, overEpoch: number, signal: AbortSignal): Promise<ClaimEnd> {
    const { ports, instance, warnings, recordFormat, onPhase } = this.#options;
    const { config, clock, random, rules, onClaim } = ports;
    onClaim?.();
    const { leaseMs, controlUrl, id: host } = config;
    const onFailure = (error: Error): void =>
      warnings.warn(`the vault accepts no records: ${messageOf(error)}`, "vault");
    const writing = { clock, random, rules, signal, onFailure, host, leaseMs, controlUrl, instance };
    try {
      const result = await claimEpoch(follower, { ...writing, format: recordFormat, overEpoch });
      switch (result.kind) {
        case "claimed":
          onPhase("claim");
          return { event: { kind: "claimed", epoch: result.claimed.writer.epoch }, claimed: result.claimed };
        case "void":
          return { event: { kind: "claim-void" } };
        case "lost":
          return notClaimed({ kind: "epoch_taken", epoch: result.epoch, host: result.host });
        case "outrun": {
          const evidence = `${result.host} writes in the vault faster than ${host} could claim the next epoch`;
          return notClaimed({ kind: "primary_alive", evidence });
        }
        case "unwritten": {
          const reason = `the vault does not take the claim of this host: ${result.failure}`;
          return notClaimed({ kind: "not_ready", reason });
        }
      }
    } catch (error) {
      if (signal.aborted) throw error;
      // Whatever the cause, a restore finds out whether it lasts; a host that gave up here would stay away for good.
      return { event: { kind: "cannot-follow", reason: `the claim failed: ${messageOf(error)}` } };
    }
  }

  /** The claim is in the log: the status reports it at once. */
  reportClaim({ writer }: Claimed): void {
    const { ports, instance, logStatus } = this.#options;
    const { id: host, leaseMs, controlUrl } = ports.config;
    logStatus.wrote(writer.position, { epoch: writer.epoch, host, vacated: false, leaseMs, controlUrl, instance });
  }

  /**
   * Opens the databases and starts the application while the leases of the predecessors run out. Undefined: aborted.
   */
  async start(term: Term, { writer, predecessors }: Claimed, signal: AbortSignal): Promise<HostEvent | undefined> {
    const { ports, instance, hooks, readExclusions, onPhase } = this.#options;
    const { config, local, clock, random, rules, predecessor: probe } = ports;
    const { driftMarginMs } = config;
    const leaseOver = waitForLeases({ predecessors, instance, clock, rules, driftMarginMs, probe, signal });
    leaseOver.catch(() => undefined); // Awaited below, unless the start fails first.
    try {
      // Durable before an application can commit here: a restart must not mistake its files for a copy of the journal.
      const marked = rules.has("persist-before-send")
        ? local.mark({ kind: "primary", epoch: writer.epoch })
        : undefined;
      await Promise.all([marked, retryUntilAnswered({ clock, random, signal }, readExclusions)]);
      await term.openDatabases();
      onPhase("catch-up");
      signal.throwIfAborted();
      await hooks?.beforeStart(writer.epoch, signal);
      await term.startApplication();
      onPhase("start");
      await leaseOver;
      onPhase("lease");
    } catch (error) {
      if (signal.aborted) return undefined;
      // The copy here is wrong, not the application: a restore repairs it.
      const kind = error instanceof DivergedCopyError ? "must-stop" : "application-failed";
      return { kind, reason: messageOf(error) };
    }
    return { kind: "may-serve" };
  }

  /** Creates the term of a claim. Its lease is renewed from now on. */
  newTerm({ writer, wallAheadMs }: Claimed, { known, files }: HandedOverState): Term {
    const { ports, logStatus, warnings, onEvent, onChange } = this.#options;
    const { config, clock, random, rules, log, metrics, store, front, openSource, application, freePort } = ports;
    const { clean, compression } = ports;
    const term: Term = new Term({
      config,
      clock,
      random,
      rules,
      log,
      metrics,
      store,
      front,
      compression,
      freePort,
      writer,
      wallAheadMs,
      base: logStatus.checkpoint,
      sinceCheckpoint: logStatus.sinceCheckpoint,
      openSource: () => openSource(known, warnings, files),
      application: application({
        onGaveUp: (reason) => onEvent({ kind: "application-failed", reason }),
        onChange,
        onWarning: (text) => warnings.warn(text),
        commits: () => term.journal.commits,
      }),
      clean: (newest) => clean(newest, writer.position, writer.claimPosition),
      onEnd: (end) => this.#onJournalEnd(end),
      onRecord: () => {
        warnings.over("vault");
        logStatus.wrote(writer.position);
      },
      onCheckpoint: (manifest) => {
        logStatus.wroteCheckpoint(manifest);
        warnings.over("checkpoint");
        onChange();
      },
      onCheckpointFailed: (reason) => warnings.warn(`checkpoint failed: ${reason}`, "checkpoint"),
      onWarning: (text) => warnings.warn(text),
    });
    return term;
  }

  #onJournalEnd(end: JournalEnd): void {
    const { ports, warnings, onEvent, onDuplicateId } = this.#options;
    switch (end.kind) {
      case "fenced":
        // This process is alive and has not claimed again: only another process with this id can have.
        if (end.host === ports.config.id) return onDuplicateId(`it claimed epoch ${end.epoch}`);
        return onEvent({ kind: "fenced", host: end.host, epoch: end.epoch });
      case "must-stop":
        warnings.warn(end.reason);
        return onEvent({ kind: "must-stop", reason: end.reason });
      case "unsupported":
        return onEvent({ kind: "application-failed", reason: end.reason });
    }
  }
}

const notClaimed = (refusal: Refusal): ClaimEnd => ({ event: { kind: "not-claimed", refusal } });
