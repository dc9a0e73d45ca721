/**
 * Files that match and are not captured yet. Each look tries once and never waits, so that the journal continues
 * meanwhile, with renewals and with commits of other databases. A file that cannot be captured is noted
 * (uncaptured.ts), and responses are held for it.
 *
 * A file that stays shorter than its header says, and that SQLite does not have open, is no database: after the
 * patience it is left out with a warning, until it changes and is complete. It must not end a term.
 */
import { statSync } from "node:fs";
import type { Rules } from "../core/rules.ts";
import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/operator-error.ts";
import { attach } from "./attach.ts";
import { CaptureError } from "./capture-error.ts";
import { withSuffix } from "./data-path.ts";
import type { DormantDatabase } from "./dormant-database.ts";
import type { FoundFile } from "./discovery.ts";
import { usersOfFormerFile } from "./former-file.ts";
import { type FileIdentity, identityAt, sameFile } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { elsewhereMsMax, type SourceLimits } from "./limits.ts";
import {
  formerFileOpen,
  notReadable,
  notWhole,
  sameFileTwice,
  staysLocked,
  tooMany,
  usedElsewhere,
} from "./refusals.ts";
import type { OpenFiles } from "./open-identities.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { Uncaptured } from "./uncaptured.ts";
import { lookAtStart, type Making, WholeFile } from "./whole-file.ts";
import type { UnfinishedCommits } from "./unfinished-commits.ts";
import type { WriteLocks } from "./write-locks.ts";

export interface NewcomerOptions {
  readonly clock: Clock;
  readonly rules: Rules;
  readonly limits: SourceLimits;
  readonly writeLocks: WriteLocks;
  readonly unfinished: UnfinishedCommits;
  onWarning(text: string): void;
}

export interface KnownFiles {
  readonly open: OpenFiles;
  readonly captured: ReadonlyMap<string, TrackedDatabase>;
  /** Number of captured databases, not counting this one. */
  readonly count: number;
  /** This one was captured before, and closed. */
  readonly dormant: DormantDatabase | undefined;
}

interface Waiting {
  readonly identity: FileIdentity;
  readonly sinceMs: number;
  /** Opening a database costs a millisecond: it is not tried at each look. */
  readonly retryAtMs: number;
  readonly retryMs: number;
  /** For a file that is left out: its stamp when it was examined. */
  readonly leftOut: string | undefined;
  /** What was found in a file that is left out. */
  readonly found?: string;
  /** Why it is not captured, once that is established. */
  readonly accused?: CaptureError | undefined;
  readonly file: FoundFile;
  /** Observations of it so far. */
  readonly whole: WholeFile;
}

interface Arrival {
  readonly file: FoundFile;
  /** Undefined: SQLite's locks protect it, or there is no process that could be making it. */
  readonly whole: WholeFile | undefined;
  readonly dormant: DormantDatabase | undefined;
}

/** Each is forgotten when a file of that name is captured. */
const formerNamesMax = 10_000;
const isWhole: Making = { kind: "whole" };
const retryMsFirst = 2;
const retryMsMax = 50;

export class Newcomers {
  readonly #options: NewcomerOptions;
  readonly #uncaptured: Uncaptured;
  #isBegun = false;
  readonly #waiting = new Map<string, Waiting>();
  /** Names of files that went away, or were replaced, before they were captured. */
  readonly #former = new Set<string>();

  constructor(options: NewcomerOptions, uncaptured: Uncaptured) {
    this.#options = options;
    this.#uncaptured = uncaptured;
  }

  /** From here on an application may be creating files. */
  begin(): void {
    this.#isBegun = true;
  }

  /** True if some must be tried again, or checked. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** True if a file of this name must be tried again, or is left out. */
  has(name: string): boolean {
    return this.#waiting.has(name);
  }

  /** True if this very file was examined before. */
  knows(name: string, file: FoundFile): boolean {
    return this.#sameAs(name, file) !== undefined;
  }

  #sameAs(name: string, file: FoundFile): Waiting | undefined {
    const known = this.#waiting.get(name);
    return known !== undefined && sameFile(known.identity, file.identity) ? known : undefined;
  }

  /** True if a file that is left out changed. Sync; a microsecond for each of them. */
  changed(): boolean {
    for (const { leftOut, file } of this.#waiting.values())
      if (leftOut !== undefined && stampOf(file) !== leftOut) return true;
    return false;
  }

  /** Files that are left out until they change. */
  leftOut(): { readonly name: string; readonly reason: string }[] {
    return [...this.#waiting].flatMap(([name, { leftOut, found }]) =>
      leftOut === undefined
        ? []
        : [{ name, reason: `it has ${found}, so it is no database; it is captured when it is whole` }],
    );
  }

  /** Forgets those that are gone or captured. */
  keepOnly(isWaiting: (name: string) => boolean): void {
    for (const name of this.#waiting.keys()) {
      if (isWaiting(name)) continue;
      this.#noteFormer(name);
      this.#forget(name);
    }
  }

  /** False: it was examined recently, and there is nothing to do yet. */
  isDue(name: string, file: FoundFile): boolean {
    const known = this.#sameAs(name, file);
    if (known === undefined) return true;
    return known.leftOut === undefined ? this.#options.clock.now() >= known.retryAtMs : stampOf(file) !== known.leftOut;
  }

  /** Attaches the file, or notes why not. Sync: reads the list of locks. */
  look(name: string, file: FoundFile, known: KnownFiles, onAttached: (database: TrackedDatabase) => void): void {
    const nowMs = this.#options.clock.now();
    const { dormant } = known;
    if (!this.isDue(name, file)) return;
    const same = this.#sameAs(name, file);
    if (same === undefined && this.#waiting.has(name)) this.#noteFormer(name);
    const { attachWaitMsMax } = this.#options.limits;
    const sinceMs = same?.sinceMs ?? nowMs;
    const whole = same?.whole ?? new WholeFile(file.path);
    let error: CaptureError | undefined;
    try {
      this.#refuse(name, file, known);
      const isLookedAt = this.#isBegun && dormant?.hasHadLog !== true;
      const making = isLookedAt
        ? whole.look(nowMs, this.#options.clock.wallTime())
        : this.#isBegun
          ? isWhole
          : lookAtStart(file.path);
      if (making.kind === "short" && !this.#isBegun) throw notReadable(name, `it has ${making.found}`);
      if (making.kind === "short" && (same?.leftOut !== undefined || nowMs - sinceMs >= attachWaitMsMax))
        return this.#leaveOut(name, { file, whole, sinceMs, found: making.found });
      error =
        making.kind === "whole"
          ? this.#attach(name, { file, whole: isLookedAt ? whole : undefined, dormant }, nowMs - sinceMs, onAttached)
          : whyNot(name, making, nowMs - sinceMs);
    } catch (cause) {
      // A next try would find a database in WAL mode, and nothing wrong with it.
      if (cause instanceof CaptureError && cause.kind === "continuity") throw cause;
      error = cause instanceof CaptureError ? cause : notReadable(name, messageOf(cause));
    }
    if (error === undefined) {
      this.#former.delete(name);
      return this.#forget(name);
    }
    // A lock that comes and goes is not reported each time.
    if (same?.accused?.kind === error.kind) error = same.accused;
    const accused = nowMs - sinceMs >= elsewhereMsMax ? error : undefined;
    const retryMs = Math.min(retryMsMax, (same?.retryMs ?? retryMsFirst / 2) * 2);
    this.#waiting.set(name, {
      identity: file.identity,
      sinceMs,
      retryAtMs: Math.min(nowMs + retryMs, Math.max(nowMs, sinceMs + attachWaitMsMax)),
      retryMs,
      leftOut: undefined,
      accused,
      file,
      whole,
    });
    this.#uncaptured.note(name, error, { atMs: nowMs, decidesAtMs: sinceMs + attachWaitMsMax });
  }

  #noteFormer(name: string): void {
    this.#former.add(name);
    const [oldest] = this.#former;
    if (oldest !== undefined && this.#former.size > formerNamesMax) this.#former.delete(oldest);
  }

  #refuse(name: string, file: FoundFile, { open, captured, count }: KnownFiles): void {
    const { databasesMax } = this.#options.limits;
    if (count >= databasesMax) throw tooMany(name, databasesMax);
    const other = open.get(file.identity);
    if (other !== undefined && captured.get(other.name) === other) throw sameFileTwice(name, other.name);
    // Its descriptors are open in this process: opening and closing others would drop their locks.
    if (other !== undefined) throw notWhole(name, "a renamed database that is still being read under its former name");
  }

  /** Undefined: it is attached, or gone. */
  #attach(
    name: string,
    { file, whole, dormant }: Arrival,
    waitedMs: number,
    onAttached: (database: TrackedDatabase) => void,
  ): CaptureError | undefined {
    const { clock, rules, writeLocks, unfinished, onWarning } = this.#options;
    if (this.#isBegun && this.#former.has(name)) {
      const pids = usersOfFormerFile(file.path);
      if (pids.length > 0) return formerFileOpen(name, pids);
    }
    const outcome = attach({
      name,
      file,
      writeLocks,
      unfinished,
      isAtStart: !this.#isBegun,
      resume: dormant?.resumed,
      whole,
      rules,
      clock,
      onAttached,
      onWarning: (text) => onWarning(text),
    });
    if (outcome === "attached" || outcome === "gone") return undefined;
    return outcome === "locked" ? lockedError(name, file, waitedMs) : elsewhereError(name, outcome.elsewhere, waitedMs);
  }

  #leaveOut(
    name: string,
    { file, whole, sinceMs, found }: Pick<Waiting, "file" | "whole" | "sinceMs"> & { readonly found: string },
  ): void {
    const isNew = this.#waiting.get(name)?.leftOut === undefined;
    this.#waiting.set(name, {
      identity: file.identity,
      sinceMs,
      retryAtMs: 0,
      retryMs: retryMsMax,
      leftOut: stampOf(file),
      found,
      file,
      whole,
    });
    this.#uncaptured.clear(name);
    if (isNew)
      this.#options.onWarning(
        `${name} is left out: it has ${found}, so it is not a database; it is captured once it is complete`,
      );
  }

  #forget(name: string): void {
    this.#waiting.delete(name);
    this.#uncaptured.clear(name);
  }
}

function whyNot(name: string, making: Exclude<Making, { kind: "whole" }>, waitedMs: number): CaptureError {
  switch (making.kind) {
    case "short":
    case "changing":
      return notWhole(name, making.found);
    case "renamed":
      return elsewhereError(name, making.pids, waitedMs);
  }
}

/** The list of locks may miss a moving lock: no process is accused at the first look. */
const elsewhereError = (name: string, pids: readonly number[], waitedMs: number): CaptureError =>
  waitedMs < elsewhereMsMax ? staysLocked(name, [], false) : usedElsewhere(name, pids);

/** The locking process is named only after a moment: creating a database locks it briefly. */
function lockedError(name: string, { path, identity }: FoundFile, waitedMs: number): CaptureError {
  if (waitedMs < elsewhereMsMax) return staysLocked(name, [], false);
  const pids = FileLocks.now()?.databaseLockers(identity.inode) ?? [];
  const [hasLog, hasIndex] = ["-wal", "-shm"].map((suffix) => identityAt(withSuffix(path, suffix)) !== undefined);
  return staysLocked(name, pids, pids.length > 0 && hasLog === true && hasIndex === false);
}

function stampOf({ path }: FoundFile): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? "gone" : `${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
}
