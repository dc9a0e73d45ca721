/**
 * The operations of all clients with their results, and whether they are consistent: the judge of the demo, the
 * benchmarks and chaos. No IO and no clock; the order in which its methods are called is real time, because one process
 * makes all calls.
 *
 * The applications number their changes 1, 2, 3, … in the order of commit (`revision`), and every change carries the
 * unique text of the write that made it. From that alone it follows, for operations a and b where a ended before b
 * began:
 * - what b sees is at least as new as what a saw or wrote (else `stale`),
 * - a revision never holds two different writes (else `undone`: a client saw what a failover took back),
 * and at the end, for the whole list of changes:
 * - every acknowledged write is there (else `missing`), at the revision that was acknowledged (else `undone`),
 * - no write is there twice (`duplicate`), nor one that no client sent or that was refused (`invented`),
 * - everything that any read ever showed is there (else `undone`).
 * A write answered with "unknown" may be there once, or not at all; when it is there it is counted as `phantom`.
 */
export interface Entry {
  readonly revision: number;
  /** The write's unique text. */
  readonly write: string;
}

/** The newest state that was known when an operation began. */
export interface Moment {
  readonly floor: number;
  readonly key: string | undefined;
  readonly keyFloor: number;
}

export type ViolationKind =
  | "missing"
  | "duplicate"
  | "stale"
  | "undone"
  | "invented"
  | "sum"
  | "incomplete"
  | "zombie-process";

export interface Violation {
  readonly kind: ViolationKind;
  readonly detail: string;
}

type Fate = "sent" | "acknowledged" | "unknown" | "refused" | "forbidden";

export interface HistoryResult {
  readonly acknowledged: number;
  readonly missing: number;
  /** Writes that were never acknowledged and are there (answered "unknown"). */
  readonly phantom: number;
  /** Writes to a zombie that are there although they must not be. */
  readonly forbidden: number;
}

const violationsKeptMax = 100;

export class History {
  #highest = 0;
  readonly #keyHighest = new Map<string, number>();
  readonly #writeAt = new Map<number, string>();
  readonly #fates = new Map<string, Fate>();
  readonly #acknowledgedAt = new Map<string, number>();
  readonly #violations: Violation[] = [];
  readonly #counts = new Map<ViolationKind, number>();

  /** An operation begins now; `key` names the one record that it is about. */
  begin(key?: string): Moment {
    return { floor: this.#highest, key, keyFloor: key === undefined ? 0 : (this.#keyHighest.get(key) ?? 0) };
  }

  /** A write is about to be sent. */
  sent(write: string): void {
    if (this.#fates.has(write)) throw new Error(`the write ${write} was sent twice`);
    this.#fates.set(write, "sent");
  }

  /** The write was answered with success, and its change has this revision; `key` is the record that it changed. */
  acknowledged(moment: Moment, write: string, revision: number, key: string): void {
    this.#fates.set(write, "acknowledged");
    this.#acknowledgedAt.set(write, revision);
    if (revision <= moment.floor) {
      this.report(
        "stale",
        `${write} became revision ${revision} when ${moment.floor} had been seen before it was sent`,
      );
    }
    this.#observe({ revision, write }, key);
  }

  /** The write's outcome is unknown: it may have happened. */
  unknown(write: string): void {
    this.#fates.set(write, "unknown");
  }

  /** The application refused it (a rule of its own): it must not be there. */
  refused(write: string): void {
    this.#fates.set(write, "refused");
  }

  /** It was sent to a host that must not commit anything any more: it must not be there. */
  forbidden(write: string): void {
    this.#fates.set(write, "forbidden");
  }

  /** A read of the newest revision, and of some entries. */
  sawList(moment: Moment, latest: number, entries: readonly Entry[]): void {
    if (latest < moment.floor)
      this.report("stale", `a read saw revision ${latest} when ${moment.floor} had been seen before it`);
    for (const entry of entries) this.#observe(entry, undefined);
    this.#highest = Math.max(this.#highest, latest);
  }

  /** A read of the one record named at `begin`; undefined when it was not there. */
  sawRecord(moment: Moment, entry: Entry | undefined): void {
    if ((entry?.revision ?? 0) < moment.keyFloor) {
      const found = entry === undefined ? "nothing" : `revision ${entry.revision}`;
      this.report(
        "stale",
        `a read of ${moment.key} saw ${found} when revision ${moment.keyFloor} had been seen before it`,
      );
    }
    if (entry !== undefined) this.#observe(entry, moment.key);
  }

  /** Notes a breach that was found elsewhere. */
  report(kind: ViolationKind, detail: string): void {
    this.#counts.set(kind, this.count(kind) + 1);
    if (this.#violations.length < violationsKeptMax) this.#violations.push({ kind, detail });
  }

  count(kind: ViolationKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** The first hundred. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  /** Writes acknowledged so far. */
  get acknowledgedCount(): number {
    return this.#acknowledgedAt.size;
  }

  /** `all`: every change that the application has, read after the last operation ended. */
  finish(all: readonly Entry[]): HistoryResult {
    const finalAt = this.#indexFinal(all);
    let missing = 0;
    for (const [write, revision] of this.#acknowledgedAt) {
      const found = finalAt.get(write);
      if (found === undefined) {
        missing += 1;
        this.report("missing", `${write} was acknowledged as revision ${revision} and is not there`);
      } else if (found !== revision) {
        this.report("undone", `${write} was acknowledged as revision ${revision} and is revision ${found} now`);
      }
    }
    for (const [revision, write] of this.#writeAt) {
      if (!this.#acknowledgedAt.has(write) && finalAt.get(write) !== revision) {
        this.report("undone", `a client was shown ${write} as revision ${revision}; it is not there`);
      }
    }
    return { acknowledged: this.#acknowledgedAt.size, missing, ...this.#countUnacknowledged(finalAt) };
  }

  #indexFinal(all: readonly Entry[]): Map<string, number> {
    const finalAt = new Map<string, number>();
    let expected = 1;
    for (const { revision, write } of all) {
      if (revision !== expected)
        this.report("incomplete", `the list of changes goes from revision ${expected - 1} to ${revision}`);
      expected = revision + 1;
      const first = finalAt.get(write);
      if (first === undefined) finalAt.set(write, revision);
      else this.report("duplicate", `${write} is there as revision ${first} and again as ${revision}`);
    }
    if (expected - 1 < this.#highest)
      this.report("stale", `the last read ends at ${expected - 1}; ${this.#highest} had been seen`);
    return finalAt;
  }

  #countUnacknowledged(finalAt: ReadonlyMap<string, number>): { phantom: number; forbidden: number } {
    let phantom = 0;
    let forbidden = 0;
    for (const write of finalAt.keys()) {
      const fate = this.#fates.get(write);
      if (fate === "acknowledged") continue;
      if (fate === "unknown" || fate === "sent") phantom += 1;
      else if (fate === "forbidden") {
        forbidden += 1;
        this.report("invented", `${write} was sent to a host that had been replaced, and is there`);
      } else
        this.report(
          "invented",
          `${write} is there although ${fate === "refused" ? "it was refused" : "no client sent it"}`,
        );
    }
    return { phantom, forbidden };
  }

  #observe(entry: Entry, key: string | undefined): void {
    const known = this.#writeAt.get(entry.revision);
    if (known === undefined) this.#writeAt.set(entry.revision, entry.write);
    else if (known !== entry.write)
      this.report("undone", `revision ${entry.revision} was ${known} and is ${entry.write} now`);
    this.#highest = Math.max(this.#highest, entry.revision);
    if (key !== undefined) this.#keyHighest.set(key, Math.max(this.#keyHighest.get(key) ?? 0, entry.revision));
  }
}
