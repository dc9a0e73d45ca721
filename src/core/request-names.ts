/**
 * Which requests may have been executed in what the log has, by name, and what was answered to them
 * (docs/PROTOCOL.md, "replay-named").
 *
 * A gateway names each request that must not be executed twice (POST, PATCH). A primary notes the name before the
 * application gets its first byte, and puts all names noted since the last flush into the next one, after that flush
 * was collected. So whatever a flush carries of a request's changes, its name is in that flush or in an earlier one;
 * and a request whose name is in no flush has changed nothing that survived its primary. Every host keeps the names
 * that it reads from the log or notes itself. The next primary is asked with the name, and executes the request only if
 * it is sure that the name is in no flush.
 *
 * It is sure only about flushes whose names it knows. `#completeAfter` is the last position of a flush whose names it
 * does not know: it restored a checkpoint that was made later, an older version wrote it, or its names were dropped
 * because there are too many. A gateway says with each name a position of the log that it had heard of before it sent
 * the request; every flush that can have the name comes after that. A request whose position is before
 * `#completeAfter` may be in a flush that is not known, and counts as executed. What a primary knows goes with the
 * record that announces a checkpoint: a host that restores it reads that record, and knows the flushes before it then.
 *
 * Outcomes. An answer of the application that is complete is noted too, and goes with a flush whose collection *began*
 * later: it is in that flush or in an earlier one that the request's commits are, because an application answers after
 * it has committed. A host that read an outcome from the log therefore has everything that the answer says, and answers
 * the repetition with it. An outcome of this host's own term that is not durable counts within that term only, and what
 * it answers passes the gate: once the term is over, its commits may have been set aside. An answer may leave without
 * its outcome: its commit was in a flush that was collected before the answer was complete. Such a name is in doubt
 * until a later flush has the outcome.
 *
 * How one would break it: taking the names before collecting, so that a request that begins in between commits without
 * a name; taking outcomes after collecting, so that an answer to a later commit survives without it; believing an
 * outcome that was never durable; noting a name after its first byte was sent; forgetting names without remembering
 * where; giving a name again after a gateway was restarted. Attacked by the mutant replay-named-collected. Attacked by
 * the mutant replay-outcome-covered. Attacked by the mutant replay-outcome-durable. Attacked in
 * test/core/request-names.test.ts: "are forgotten when they are too many".
 */
import { type OutcomeLimits, outcomeBytes, outcomeLimitsDefault, type RequestOutcome } from "./request-outcome.ts";
import { Fifo } from "./fifo.ts";
import { NameMap } from "./name-map.ts";
import { allRules, type Rules } from "./rules.ts";

/** Of one try; `run` and `count` together are never given twice. */
export interface RequestName {
  /** One run of a data plane: 16 lower-case hexadecimal digits, random. */
  readonly run: string;
  /** A safe integer. */
  readonly count: number;
}

/** A request as its gateway names it to a host. */
export interface NamedRequest extends RequestName {
  /** A position of the log that the gateway had heard of before it sent the request first. */
  readonly after: number;
  /** An earlier try was lost with its host: executed only if that one has changed nothing. */
  readonly isAgain: boolean;
  /** The name is made of the client's `Idempotency-Key`: the client itself may send it again, by any gateway. */
  readonly isKeyed?: boolean;
  /** Of a keyed request: of what must be the same in a repetition; 32 lower-case hexadecimal digits. */
  readonly fingerprint?: string | undefined;
}

export interface NamedOutcome {
  readonly name: RequestName;
  readonly outcome: RequestOutcome;
  /** As in `NamedRequest`. */
  readonly fingerprint?: string | undefined;
}

/** The names of a flush. */
export interface FlushNames {
  readonly names: readonly RequestName[];
  /** False: there were more than a record takes. */
  readonly isComplete: boolean;
  /** The service has keyed requests: they must not be left out of a record. Left out: it has none. */
  readonly isKeyed?: boolean;
}

/** What a host knows at a position of the log, for hosts that restore the checkpoint announced there. */
export interface NamesTable {
  /** It has the name of every request in a flush after this position. */
  readonly completeAfter: number;
  readonly names: readonly RequestName[];
  /** The newest ones, not all. */
  readonly outcomes: readonly NamedOutcome[];
  /** As in `FlushNames`. */
  readonly isKeyed?: boolean;
}

/** What becomes of requests when an earlier state of the service is its state again (docs/PROTOCOL.md, "Rewinding"). */
export interface RewoundRequests {
  /** False: there were too many, and they are left out. What is known of requests stays then. */
  readonly isComplete: boolean;
  /** Named in flushes that are undone: nothing of them is left. */
  readonly undone: readonly RequestName[];
  /** Named before, and answered in what is undone: what is left of them is not known. */
  readonly unanswered: readonly RequestName[];
  /** Undone by an earlier rewind, and in the state again. */
  readonly restored: readonly RequestName[];
}

/**
 * What becomes of a request that has arrived. `in-doubt`: an earlier try may have been executed, because its name is
 * known and its answer is not (`named`), or because it may be in a flush whose names are not known (`unknown-flush`).
 */
export type Beginning =
  | { readonly kind: "execute" }
  | { readonly kind: "in-doubt"; readonly why: "named" | "unknown-flush" }
  /** The application has the first request with its key. */
  | { readonly kind: "executing" }
  /** Its key was used for another request. */
  | { readonly kind: "other-request" }
  | { readonly kind: "recorded"; readonly outcome: RequestOutcome };

/** Known at most; 200 bytes of memory each. */
const knownMax = 65_536;
/** In one flush. More than a host has connections, so only a service that hardly commits ever has more. */
export const namesPerFlushMax = 16_384;
/** Of all outcomes that are known; beyond that the oldest ones are forgotten, and their names are in doubt. */
const outcomeBytesMax = 32 * 2 ** 20;
/** Of outcomes in one flush; the rest waits for the next one. */
const flushOutcomeBytesMax = 2 ** 20;
/** Of outcomes in a table. */
const tableOutcomeBytesMax = 2 * 2 ** 20;
/** Of outcomes that wait for a flush. A service that answers much and commits nothing keeps the newest. */
const unwrittenOutcomeBytesMax = 4 * 2 ** 20;

interface Known {
  readonly name: RequestName;
  /** Before this position the name does not count as forgotten. */
  readonly position: number;
  /** Noted by this host itself, and in no flush that it knows to be durable. */
  isOwn: boolean;
  outcome?: RequestOutcome;
  /** Of this host's own term, and not durable yet. */
  pending?: RequestOutcome;
  /** Of the request with the outcome. */
  fingerprint?: string | undefined;
  /** Monotonic time at which the outcome was heard of. */
  outcomeAtMs?: number;
}

const execute: Beginning = { kind: "execute" };
const inDoubt = (why: "named" | "unknown-flush"): Beginning => ({ kind: "in-doubt", why });

export class RequestNames {
  readonly #rules: Rules;
  readonly limits: OutcomeLimits;
  readonly #known = new NameMap<Known>();
  /** The same, in order of arrival, and some that are not known any more. */
  readonly #inOrder = new Fifo<Known>();
  /** Those with an outcome, in its order of arrival, and some that have none any more. */
  readonly #withOutcome = new Fifo<Known>();
  readonly #pendings = new Set<Known>();
  #outcomeBytes = 0;
  #unwritten: RequestName[] = [];
  #isUnwrittenComplete = true;
  #unwrittenOutcomes: NamedOutcome[] = [];
  #unwrittenBytes = 0;
  #completeAfter = 0;
  #isKeyed = false;
  /** Position of the last table that was read: what is unknown up to it, its writer has taken into account. */
  #tableAt = 0;

  constructor(rules: Rules = allRules, limits: OutcomeLimits = outcomeLimitsDefault) {
    this.#rules = rules;
    this.limits = limits;
  }

  /**
   * This host has had a keyed request, or read of one. Such a request is repeated by its client, which is told nothing
   * if its name is lost: from then on all records have names and outcomes, in whatever format others are written.
   */
  get isKeyed(): boolean {
    return this.#isKeyed;
  }

  /**
   * Before the application gets the first byte of a request. `position`: of the last durable record. Undefined: it has
   * no name.
   */
  begin(request: NamedRequest | undefined, position: number, nowMs = 0): Beginning {
    if (request === undefined) return execute;
    this.#isKeyed ||= request.isKeyed === true;
    if ((request.isAgain || request.isKeyed === true) && this.#rules.has("replay-named")) {
      this.#forgetOld(nowMs);
      const known = this.#known.get(request);
      const outcome = known?.outcome ?? known?.pending;
      if (outcome !== undefined && known?.fingerprint !== request.fingerprint) return { kind: "other-request" };
      if (outcome !== undefined) return { kind: "recorded", outcome };
      if (known !== undefined) return inDoubt("named");
      if (request.isAgain && request.after < this.#completeAfter) return inDoubt("unknown-flush");
    }
    this.#remember(request, position + 1, true);
    if (this.#unwritten.length < namesPerFlushMax) this.#unwritten.push(request);
    else this.#isUnwrittenComplete = false;
    return execute;
  }

  /** No byte of a request that began was sent: it may be sent again. */
  withdraw(request: RequestName | undefined): void {
    if (request === undefined) return;
    this.#known.delete(request);
    const at = this.#unwritten.findLastIndex(({ run, count }) => run === request.run && count === request.count);
    if (at >= 0) this.#unwritten.splice(at, 1);
  }

  /**
   * A term as primary begins, and this host has read the log to its end: what an earlier term of it began or answered,
   * and is in no flush by now, never will be in one.
   */
  beginTerm(): void {
    if (this.#rules.has("replay-outcome-durable")) for (const known of this.#pendings) this.#settle(known);
    this.#known.forEach(({ name, isOwn, pending }) => {
      if (isOwn && pending === undefined) this.#known.delete(name);
    });
    this.#unwritten = [];
    this.#isUnwrittenComplete = true;
    this.#unwrittenOutcomes = [];
    this.#unwrittenBytes = 0;
  }

  /** The application's answer to a request that began is complete; nothing of its end has been released. */
  answered({ run, count, fingerprint }: NamedRequest, outcome: RequestOutcome): void {
    if (this.limits.keepMs === 0) return;
    const name = { run, count };
    const known = this.#known.get(name);
    if (known === undefined) return;
    known.pending = outcome;
    known.fingerprint = fingerprint;
    this.#pendings.add(known);
    this.#unwrittenOutcomes.push({ name, outcome, fingerprint });
    this.#unwrittenBytes += outcomeBytes(outcome);
    while (this.#unwrittenBytes > unwrittenOutcomeBytesMax) this.#forgetUnwritten();
  }

  #forgetUnwritten(): void {
    const dropped = this.#unwrittenOutcomes.shift();
    if (dropped === undefined) return;
    this.#unwrittenBytes -= outcomeBytes(dropped.outcome);
    this.#settle(this.#known.get(dropped.name));
  }

  /** Outcomes for a flush whose collection begins now. */
  takeOutcomes(): NamedOutcome[] {
    let bytes = 0;
    let count = 0;
    for (const { outcome } of this.#unwrittenOutcomes) {
      bytes += outcomeBytes(outcome);
      if (count > 0 && bytes > flushOutcomeBytesMax) break;
      count += 1;
    }
    const taken = this.#unwrittenOutcomes.splice(0, count);
    for (const { outcome } of taken) this.#unwrittenBytes -= outcomeBytes(outcome);
    return taken;
  }

  /** There was nothing to flush: the outcomes wait for the next one. */
  giveBack(outcomes: readonly NamedOutcome[]): void {
    this.#unwrittenOutcomes.unshift(...outcomes);
    for (const { outcome } of outcomes) this.#unwrittenBytes += outcomeBytes(outcome);
  }

  /** The flush that has them is durable. */
  onDurable(names: readonly RequestName[], outcomes: readonly NamedOutcome[], nowMs: number): void {
    for (const name of names) this.#confirm(name);
    for (const outcome of outcomes) this.#know(outcome, nowMs);
  }

  /** The names for a flush that has just been collected; each is taken once. */
  take(): FlushNames {
    const taken = { names: this.#unwritten, isComplete: this.#isUnwrittenComplete, isKeyed: this.#isKeyed };
    this.#unwritten = [];
    this.#isUnwrittenComplete = true;
    return taken;
  }

  /** A flush was read from the log. `flush` undefined: its writer does not write names. */
  onFlush(position: number, flush: FlushNames | undefined): void {
    if (flush?.isComplete !== true) this.isUnknownUntil(position);
    this.#isKeyed ||= flush?.isKeyed === true;
    for (const name of flush?.names ?? []) this.#remember(name, position);
  }

  /** The outcomes of a flush whose last part was read, at `position`. */
  onOutcomes(position: number, outcomes: readonly NamedOutcome[], nowMs: number): void {
    for (const outcome of outcomes) {
      this.#remember(outcome.name, position);
      this.#know(outcome, nowMs);
    }
  }

  /**
   * A flush that rewinds was read whole, or is durable. A request that is undone may be executed when it is repeated:
   * it is then in the state once. One of which something may be left, and not its answer, is in doubt.
   */
  onRewound(position: number, { isComplete, undone, unanswered, restored }: RewoundRequests): void {
    if (!isComplete) return;
    for (const name of undone) this.#forget(name);
    for (const name of unanswered) {
      const known = this.#known.get(name);
      this.#settle(known);
      if (known !== undefined) this.#forgetOutcome(known);
    }
    for (const name of restored) this.#remember(name, position);
  }

  #forget(name: RequestName): void {
    const known = this.#known.get(name);
    if (known === undefined) return;
    this.#settle(known);
    this.#forgetOutcome(known);
    this.#known.delete(name);
  }

  /** Nothing is known of the flushes up to this position: a checkpoint stands for them. */
  isUnknownUntil(position: number): void {
    if (position > this.#tableAt && this.#rules.has("replay-named-known"))
      this.#completeAfter = Math.max(this.#completeAfter, position);
  }

  /** For the record of a checkpoint. No flush is in progress. */
  table(): NamesTable {
    const names: RequestName[] = [];
    if (this.#rules.has("replay-named-carried")) this.#known.forEach(({ name }) => names.push(name));
    const outcomes: NamedOutcome[] = [];
    let bytes = 0;
    for (const { name, outcome, fingerprint } of this.#withOutcome.fromLast()) {
      if (outcome === undefined) continue;
      bytes += outcomeBytes(outcome);
      if (bytes > tableOutcomeBytesMax) break;
      outcomes.push({ name, outcome, fingerprint });
    }
    return { completeAfter: this.#completeAfter, names, outcomes: outcomes.reverse(), isKeyed: this.#isKeyed };
  }

  /**
   * The table of the primary at `position` was read. It has all names of flushes up to there that come after its
   * `completeAfter`, whatever this host knew of them.
   */
  onTable(position: number, table: NamesTable, nowMs: number): void {
    if (this.#completeAfter <= position) this.#completeAfter = table.completeAfter;
    this.#tableAt = Math.max(this.#tableAt, position);
    this.#isKeyed ||= table.isKeyed === true;
    for (const name of table.names) this.#remember(name, position);
    this.onOutcomes(position, table.outcomes, nowMs);
  }

  #confirm(name: RequestName): void {
    const known = this.#known.get(name);
    if (known !== undefined) known.isOwn = false;
  }

  #remember(name: RequestName, position: number, isOwn = false): void {
    const known = this.#known.get(name);
    if (known !== undefined) {
      if (!isOwn) known.isOwn = false;
      return;
    }
    const added = { name: { run: name.run, count: name.count }, position, isOwn };
    this.#known.set(name, added);
    this.#inOrder.push(added);
    if (this.#known.size > knownMax) this.#forgetOldest();
    else if (this.#inOrder.size > 2 * knownMax) this.#inOrder.filter((known) => this.#isKnown(known));
  }

  /** The oldest ones that are not known any more go with it. */
  #forgetOldest(): void {
    for (let oldest = this.#inOrder.shift(); oldest !== undefined; oldest = this.#inOrder.shift()) {
      if (!this.#isKnown(oldest)) continue;
      this.#forgetOutcome(oldest);
      this.#settle(oldest);
      this.#known.delete(oldest.name);
      this.#completeAfter = Math.max(this.#completeAfter, oldest.position);
      return;
    }
  }

  #isKnown(known: Known): boolean {
    return this.#known.get(known.name) === known;
  }

  /** An outcome whose name this host has forgotten is of no use: its request counts as executed. */
  #know({ name, outcome, fingerprint }: NamedOutcome, nowMs: number): void {
    const known = this.#known.get(name);
    if (known === undefined || known.outcome !== undefined) return;
    this.#settle(known);
    known.isOwn = false;
    known.outcome = outcome;
    known.fingerprint = fingerprint;
    known.outcomeAtMs = nowMs;
    this.#withOutcome.push(known);
    this.#outcomeBytes += outcomeBytes(outcome);
    this.#forgetOld(nowMs);
  }

  #settle(known: Known | undefined): void {
    if (known === undefined || !this.#pendings.delete(known)) return;
    delete known.pending;
  }

  /** The name stays known. */
  #forgetOld(nowMs: number): void {
    for (let known = this.#withOutcome.first; known !== undefined; known = this.#withOutcome.first) {
      const isOld = known.outcomeAtMs === undefined || nowMs - known.outcomeAtMs > this.limits.keepMs;
      if (!isOld && this.#outcomeBytes <= outcomeBytesMax) return;
      this.#withOutcome.shift();
      this.#forgetOutcome(known);
    }
  }

  #forgetOutcome(known: Known): void {
    if (known.outcome === undefined) return;
    this.#outcomeBytes -= outcomeBytes(known.outcome);
    delete known.outcome;
    delete known.outcomeAtMs;
  }
}
