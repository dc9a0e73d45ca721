/**
 * The requests of a flush: names and outcomes that go with what one collection found (core/request-names.ts).
 *
 * The order is the rule (docs/PROTOCOL.md, "replay-outcome-covered", "replay-named-collected"): outcomes are taken, the
 * databases are collected, names are taken. An outcome that is taken before was complete before, and so was its commit,
 * which the collection therefore covers. A name that is taken after was noted before whatever the collection found of
 * its request.
 *
 * A collection that leaves something out covers no outcome, as it covers no response that waits at the gate: a database
 * that cannot be captured now, or a commit that lies in a log and not in its index, may have what an answer confirms.
 * The outcomes wait for a later flush. Attacked in
 * test/host/primary/journal.test.ts: "answers wait for a flush that leaves nothing out".
 */
import type { Section } from "../../core/flush.ts";
import type { NamedOutcome } from "../../core/request-names.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { outcomesSection } from "../../vault/log/request-outcomes-section.ts";
import { requestsSection } from "../../vault/log/request-names-section.ts";
import { tableSections } from "../../vault/log/request-table-sections.ts";
import type { CaptureSource } from "../ports/ports.ts";
import type { Handover } from "../application/handover.ts";

/** What one collection found; undefined: nothing. */
interface Collected<T> {
  readonly found: T;
  readonly requests: TakenRequests;
}

/** Of one flush. */
export interface TakenRequests {
  /** For its first part: no part of it is in the log without the names. */
  readonly sections: readonly Section[];
  /** Call it when the flush is durable. */
  readonly onDurable: () => void;
}

export class FlushRequests {
  readonly #handover: Handover | undefined;
  readonly #clock: Clock;
  readonly #rules: Rules;
  readonly #source: () => Pick<CaptureSource, "uncaptured" | "unfinished"> | undefined;

  /** `handover` undefined: flushes have no names. `source`: what is collected. */
  constructor(
    handover: Handover | undefined,
    clock: Clock,
    rules: Rules,
    source: () => Pick<CaptureSource, "uncaptured" | "unfinished"> | undefined,
  ) {
    this.#handover = handover;
    this.#clock = clock;
    this.#rules = rules;
    this.#source = source;
    handover?.names.beginTerm();
  }

  /** For the record of a checkpoint: hosts that restore it learn what came before. */
  table(): readonly Section[] {
    if (this.#handover === undefined) return [];
    const { names } = this.#handover;
    return tableSections(names.table(), names.limits.deflateLevel);
  }

  /** No flush is put off for more requests (host/application/handover.ts). */
  get isTakingTurns(): boolean {
    return this.#handover?.isTakingTurns ?? false;
  }

  /** Before a flush takes its waiters: what completes meanwhile still leaves with it. */
  async pause(flushMs: number): Promise<void> {
    await this.#handover?.pause(flushMs);
  }

  /** Collects, and takes what belongs to it. `batchOf` undefined: there will be no flush of what was found. */
  async during<T>(collect: () => Promise<T>, batchOf: (found: T) => unknown): Promise<Collected<T>> {
    const handover = this.#handover;
    if (handover === undefined) return { found: await collect(), requests: noRequests };
    const { names } = handover;
    const early = this.#rules.has("replay-named-collected") ? undefined : names.take();
    let outcomes: readonly NamedOutcome[] = this.#rules.has("replay-outcome-covered") ? names.takeOutcomes() : [];
    try {
      const found = await collect();
      if (!this.#rules.has("replay-outcome-covered")) outcomes = names.takeOutcomes();
      else if (this.#leavesOut()) {
        names.giveBack(outcomes);
        outcomes = [];
      }
      if (batchOf(found) !== undefined) {
        const taken = early ?? names.take();
        const sections = [requestsSection(taken)];
        if (outcomes.length > 0) sections.push(outcomesSection(outcomes, names.limits.deflateLevel, names.isKeyed));
        const onDurable = (): void => names.onDurable(taken.names, outcomes, this.#clock.now());
        return { found, requests: { sections, onDurable } };
      }
      names.giveBack(outcomes);
      return { found, requests: noRequests };
    } finally {
      handover.release();
    }
  }

  /**
   * Of a flush that rewinds: requests and answers that no flush has yet are undone with everything else. It says that
   * it has no name: otherwise hosts would doubt all requests.
   */
  ofRewind(): TakenRequests {
    if (this.#handover === undefined) return noRequests;
    const { names } = this.#handover;
    const { isKeyed = false } = names.take();
    names.takeOutcomes();
    return { ...noRequests, sections: [requestsSection({ names: [], isComplete: true, isKeyed })] };
  }

  /** True if the collection that has just ended does not cover everything that was committed before it. */
  #leavesOut(): boolean {
    const source = this.#source();
    const isHeld = (source?.uncaptured?.() ?? []).length > 0;
    return isHeld || (source?.unfinished?.() ?? []).some(({ isSettled }) => !isSettled);
  }
}

const noRequests: TakenRequests = { sections: [], onDurable: () => undefined };
