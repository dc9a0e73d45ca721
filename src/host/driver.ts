/**
 * The driver of a host's life: takes events, has the pure step decide (src/core/host/life.ts), and performs the
 * effects.
 *
 * `take` is the only entry: the host's state changes only by an event, and effects are performed only here, in the
 * order of the step. An event that arrives while effects are performed is taken after them, so no step runs in the
 * middle of another.
 *
 * Long effects (restore, follow, claim, take over) are stages, one at a time (serial-task.ts). Each ends with the event
 * that it returns; the event of an aborted stage is dropped, since another stage has begun by then. The orderly end of
 * a term (drain, give up) is not a stage: it must not wait for the stage that starts the application, which it ends.
 *
 * One role at a time owns what the host holds: a `Secondary` has the databases, then a `Term`, then neither.
 */
import type { DemoteEvent, DemotePhase } from "../control/host-api.ts";
import {
  firstHostStep,
  type HostEffect,
  type HostEvent,
  type HostLife,
  type HostStep,
  type HostState,
  stepHost,
} from "../core/host/life.ts";
import type { RetrySchedule } from "../core/host/retry-schedule.ts";
import type { Refusal } from "../core/refusal.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { LogRecord } from "../vault/record.ts";
import type { Promotion } from "./control/promotion.ts";
import type { Hooks } from "./hooks.ts";
import type { Warnings } from "./ports/warnings.ts";
import type { Claimed } from "./primary/claim.ts";
import type { OrderedRewind, Term } from "./primary/term.ts";
import { ReadRequests, rewoundStatusOf } from "./read-requests.ts";
import { Promoting, type PromotingOptions } from "./promoting.ts";
import { Restoring } from "./restoring.ts";
import type { Secondary } from "./secondary/secondary.ts";
import { SerialTask } from "./serial-task.ts";

type Stage = (signal: AbortSignal) => Promise<HostEvent | undefined>;

export interface DriverOptions
  extends Pick<PromotingOptions, "ports" | "instance" | "logStatus" | "recordFormat" | "readExclusions" | "onChange"> {
  readonly warnings: Warnings;
  /** Undefined: this host has none. */
  readonly hooks?: Hooks | undefined;
  /** Where clients of this host's term are sent. */
  readonly dataUrl: () => string;
  /** Orders this host to become primary, after it bootstrapped the vault. Never rejects. */
  readonly promoteItself: () => void;
  readonly abortRehearsal: (reason: string) => void;
}

/** Characters of a reason in a `vacate` record. */
const vacateReasonMax = 500;

export class Driver {
  readonly #options: DriverOptions;
  readonly #stage = new SerialTask();
  readonly #restoring: Restoring;
  readonly #promoting: Promoting;
  readonly #requests: ReadRequests;
  #life: HostLife = firstHostStep.life;
  #isPerforming = false;
  readonly #waiting: HostEvent[] = [];
  #secondary: Secondary | undefined;
  #claimed: Claimed | undefined;
  #term: Term | undefined;
  #noTermSince: number;
  /** The last order to become primary. */
  #promotion: Promotion | undefined;
  #reportDemotion: ((event: DemoteEvent) => void) | undefined;
  /** What the last order to step down had prepared. */
  #rewind: OrderedRewind["prepared"] | undefined;
  /** The current or last orderly end of a term. Never rejects. */
  #leaving: Promise<void> = Promise.resolve();

  constructor(options: DriverOptions) {
    this.#options = options;
    const { ports, onChange } = options;
    this.#noTermSince = ports.clock.now();
    this.#requests = new ReadRequests({
      names: () => ports.front.handover.names,
      clock: ports.clock,
      onRewound: (rewound) => {
        options.logStatus.rewound = rewound;
        onChange();
      },
    });
    this.#restoring = new Restoring({
      ...options,
      release: () => this.#release(),
      hold: (secondary) => void (this.#secondary = secondary),
      onDelayed: (reason, isFailure) => this.take({ kind: "restore-delayed", reason, isFailure }),
      onRecord: (record) => this.#onRecord(record),
    });
    this.#promoting = new Promoting({
      ...options,
      onEvent: (event) => this.take(event),
      onPhase: (phase) => this.#promotion?.phase(phase),
      onDuplicateId: (how) => this.onDuplicateId(how),
      onChange,
    });
  }

  get state(): HostState {
    return this.#life.state;
  }

  get retry(): RetrySchedule | undefined {
    return this.#life.retry;
  }

  get secondary(): Secondary | undefined {
    return this.#secondary;
  }

  get term(): Term | undefined {
    return this.#term;
  }

  /** When the last term ended, or this host started. */
  get noTermSince(): number {
    return this.#noTermSince;
  }

  /** Dated folders with diverged data, oldest first. */
  get setAsides(): readonly string[] {
    return this.#restoring.setAsides;
  }

  /** Starts the host's life: it restores, and then follows. */
  start(): void {
    this.#apply(firstHostStep);
  }

  /** Becomes primary; resolves when the order is answered. */
  async promote(promotion: Promotion, overEpoch: number): Promise<void> {
    this.#promotion = promotion;
    this.take({ kind: "promote", overEpoch });
    await promotion.over;
  }

  /** Steps down; resolves when the order is answered. */
  async demote(
    successor: string | undefined,
    reason: string,
    report: (event: DemoteEvent) => void,
    rewind?: OrderedRewind["prepared"],
  ): Promise<void> {
    this.#reportDemotion = report;
    this.#rewind = rewind;
    this.take({ kind: "demote", successor, reason });
    await this.#leaving;
  }

  /** Another process runs under this host's id; `how` says what proved it. */
  onDuplicateId(how: string): void {
    const { id } = this.#options.ports.config;
    const reason = `another running host has the same id "${id}" (${how}); give each host its own id, then restart this one`;
    this.take({ kind: "broken", reason });
  }

  /** Takes every event that changes the host's state. Throws `IllegalHostTransition`. */
  take(event: HostEvent): void {
    if (this.#isPerforming) return void this.#waiting.push(event);
    const { clock, rules } = this.#options.ports;
    this.#isPerforming = true;
    try {
      this.#apply(stepHost(this.#life, event, clock.now(), rules));
    } finally {
      this.#isPerforming = false;
      const next = this.#waiting.shift();
      if (next !== undefined) this.take(next);
    }
  }

  /**
   * First half of the host's end: no more stages begin, and a term is vacated. Lasts as long as the vault does not
   * answer.
   */
  async stepDown(reason: string): Promise<void> {
    this.#stage.closeToNew();
    const { state } = this.#life;
    const hasTerm = (state.kind === "starting" || state.kind === "primary") && this.#term !== undefined;
    if (hasTerm) await this.demote(undefined, reason, () => undefined);
    else await this.#leaving; // It may be giving up just now.
  }

  /** Second half: nothing leaves this host any more; resolves when nothing is open. */
  async close(reason: string): Promise<void> {
    this.#promotion?.refuse({ kind: "not_ready", reason });
    this.#term?.abort(reason);
    this.#options.hooks?.demoted(reason);
    await this.#stage.close(reason);
    await this.#release();
  }

  #apply({ life, effects }: HostStep): void {
    const before = this.#life;
    this.#life = life;
    const { state } = life;
    if (state.kind !== before.state.kind) {
      const fields = "reason" in state ? { reason: state.reason } : {};
      this.#options.ports.log.info(`${before.state.kind} -> ${state.kind}`, fields);
    }
    for (const effect of effects) this.#perform(effect);
    if (life !== before) this.#options.onChange();
  }

  #perform(effect: HostEffect): void {
    const { warnings, hooks, promoteItself, abortRehearsal: cutRehearsal } = this.#options;
    switch (effect.kind) {
      case "shut-gate":
        this.#term?.abort(effect.reason);
        return hooks?.demoted(effect.reason);
      case "refuse":
        return this.#promotion?.refuse(effect.refusal);
      case "warn":
        return warnings.warn(effect.reason);
      case "tell-delay":
        return this.#tellDelay(effect.reason, effect.isFailure);
      case "restore":
        return this.#begin((signal) => this.#restoring.run(effect, signal));
      case "follow":
        return this.#begin((signal) => this.#follow(signal));
      case "halt":
        return this.#stage.abort(effect.reason);
      case "promote-itself":
        return promoteItself();
      case "claim":
        return this.#begin((signal) => this.#claim(effect.overEpoch, signal));
      case "take-over":
        return this.#begin((signal) => this.#takeOver(signal));
      case "serve":
        return this.#serve();
      case "drain":
        return this.#drain(effect.successor, effect.reason);
      case "give-up":
        return this.#vacateUnrunnable(effect.reason);
      case "cut-rehearsal":
        return cutRehearsal(effect.reason);
    }
  }

  #begin(stage: Stage): void {
    const run = async (signal: AbortSignal): Promise<void> => {
      const event = await stage(signal);
      if (event !== undefined && !signal.aborted) this.take(event);
    };
    this.#stage.begin(run, (error) => {
      const reason = messageOf(error);
      this.#options.ports.log.error("stage failed", { reason });
      this.take({ kind: "stage-failed", reason });
    });
  }

  async #follow(signal: AbortSignal): Promise<HostEvent | undefined> {
    try {
      await this.#assertSecondary().follow(signal);
      return undefined;
    } catch (error) {
      return { kind: "cannot-follow", reason: messageOf(error) };
    }
  }

  async #claim(overEpoch: number, signal: AbortSignal): Promise<HostEvent> {
    const { event, claimed } = await this.#promoting.claim(this.#assertSecondary().follower, overEpoch, signal);
    this.#claimed = claimed;
    return event;
  }

  async #takeOver(signal: AbortSignal): Promise<HostEvent | undefined> {
    const claimed = this.#claimed;
    if (claimed === undefined) throw new Error("there is no claim to take over with");
    this.#promoting.reportClaim(claimed);
    const handedOver = await this.#assertSecondary().handOver();
    if (handedOver.kind === "diverged") return { kind: "must-stop", reason: handedOver.reason };
    await this.#closeSecondary();
    this.#term = this.#promoting.newTerm(claimed, handedOver);
    return this.#promoting.start(this.#term, claimed, signal);
  }

  #serve(): void {
    const term = this.#assertTerm();
    term.serve();
    this.#promotion?.phase("ready");
    this.#promotion?.done(term.epoch, term.position, this.#options.dataUrl());
    this.#options.hooks?.promoted(term.epoch);
  }

  #drain(successor: string | undefined, reason: string): void {
    this.#leaving = this.#stepDown(this.#assertTerm(), successor, reason);
  }

  async #stepDown(term: Term, successor: string | undefined, reason: string): Promise<void> {
    const { logStatus } = this.#options;
    const report = this.#reportDemotion;
    const rewind = this.#rewindOf(report);
    try {
      const onPhase = (phase: DemotePhase, ms: number): void => report?.({ kind: "phase", phase, ms });
      const position = await term.stepDown(successor, reason, onPhase, rewind);
      logStatus.wrote(position);
      logStatus.vacated(successor);
      this.take({ kind: "vacated", position });
      report?.({ kind: "done", position });
    } catch (error) {
      const failure = `stepping down failed: ${messageOf(error)}`;
      this.take({ kind: "must-stop", reason: failure });
      report?.({ kind: "refused", refusal: notReady(failure) });
    }
  }

  #rewindOf(report: ((event: DemoteEvent) => void) | undefined): OrderedRewind | undefined {
    const { ports, logStatus, warnings } = this.#options;
    const prepared = this.#rewind;
    this.#rewind = undefined;
    if (prepared === undefined) return undefined;
    return {
      prepared,
      onDone: (position, rewound) => {
        logStatus.rewound = rewoundStatusOf({ position, wallTimeMs: ports.clock.wallTime() }, rewound);
        ports.log.info("rewound", { position, to: rewound.to, undone_to: rewound.undoneTo });
      },
      onFailed: (why) => {
        warnings.warn(`the rewind could not be made, the state is as it was: ${why}`);
        report?.({ kind: "not-rewound", reason: why });
      },
    };
  }

  /**
   * The application cannot run here now: with a `vacate` record the next primary need not wait for a lease. The restore
   * after it moves the files that the term has open, so it waits for that.
   */
  #vacateUnrunnable(reason: string): void {
    this.#options.ports.front.abort(reason);
    const leaving = this.#vacate(reason);
    this.#options.hooks?.demoted(reason);
    this.#leaving = leaving;
    this.#begin(async (signal) => {
      await leaving;
      return this.#restoring.run({}, signal);
    });
  }

  /** Never rejects. */
  async #vacate(reason: string): Promise<void> {
    const { logStatus, warnings } = this.#options;
    try {
      await this.#term?.stepDown(undefined, reason.slice(0, vacateReasonMax), () => undefined);
      logStatus.vacated();
    } catch (error) {
      warnings.warn(`no vacate record was written: ${messageOf(error)}`);
    }
  }

  #tellDelay(reason: string, isFailure: boolean): void {
    if (isFailure) this.#options.warnings.warn(reason, "restore");
    else this.#options.ports.log.info(reason);
  }

  /** Resolves once nothing has the databases open. */
  async #release(): Promise<void> {
    const term = this.#term;
    if (term !== undefined) {
      term.abort("the term is over");
      await term.ended();
      this.#term = undefined;
      this.#noTermSince = this.#options.ports.clock.now();
    }
    await this.#closeSecondary();
  }

  async #closeSecondary(): Promise<void> {
    await this.#secondary?.close();
    this.#secondary = undefined;
  }

  #assertSecondary(): Secondary {
    if (this.#secondary === undefined) throw new Error("this host has nothing to follow with");
    return this.#secondary;
  }

  #assertTerm(): Term {
    if (this.#term === undefined) throw new Error("this host has no term");
    return this.#term;
  }

  #onRecord(record: LogRecord): void {
    const { warnings, logStatus, onChange } = this.#options;
    warnings.over("vault");
    this.#requests.take(record);
    if (logStatus.read(record)) onChange();
  }
}

const notReady = (reason: string): Refusal => ({ kind: "not_ready", reason });
