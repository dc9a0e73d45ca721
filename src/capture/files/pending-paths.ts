/**
 * Paths of which the kernel has told something that no flush has: what the next look at the files examines.
 *
 * Removals are numbered in the order of the queue, so that a look can tell those that came before a cut of the
 * databases from later ones (file-capture.ts says why that matters).
 */
import type { FileMatcher } from "../../core/files/file-pattern.ts";
import type { Rules } from "../../core/rules.ts";
import type { FileEvents, FileNews } from "./file-events.ts";

export interface PendingPath {
  /** Its content, mode or owner may be another one; false: at most its place is. */
  isWritten: boolean;
  /** A folder that appeared may have anything in it. */
  isNew: boolean;
  /** Number of the last removal there; 0: none. */
  removal: number;
  /** That was a rename: the content is at another name. */
  isMovedAway: boolean;
  presence: Presence;
}

/**
 * What the kernel told of a path last. `surely-gone`: it was removed, nothing was moved there before (of two names that
 * are exchanged, one ends with a removal), and its folder's name is certain (file-events.ts). To ask whether a path is
 * absent takes the folder's lock, which an application that creates files holds most of the time: 0.2 ms each, where a
 * path that is there takes a microsecond.
 */
export type Presence = "unknown" | "moved-here" | "surely-gone";

/** Names in one folder whose relevance is remembered. */
const rememberedMax = 4096;

export class PendingPaths {
  readonly #events: Pick<FileEvents, "hear">;
  readonly #matcher: FileMatcher;
  readonly #rules: Rules;
  #paths = new Map<string, PendingPath>();
  /** Companions of databases are written with every commit: each path is matched once. */
  #relevant = new Map<string, boolean>();
  #removals = 0;
  #isIncomplete = false;

  constructor(events: Pick<FileEvents, "hear">, matcher: FileMatcher, rules: Rules) {
    this.#events = events;
    this.#rules = rules;
    this.#matcher = matcher;
  }

  /** Number of the last removal that was told. */
  get removals(): number {
    return this.#removals;
  }

  /** True if something is to be examined. */
  get isAny(): boolean {
    return this.#paths.size > 0 || this.#isIncomplete;
  }

  /** Takes what the kernel has told until now. Sync; a fifth of a microsecond if that is nothing. */
  hear(): void {
    if (this.#events.hear(this.#onNews) && this.#rules.has("files-overflow")) this.#isIncomplete = true;
  }

  /** True once if events were lost since the last call. */
  takeDoubt(): boolean {
    const isIncomplete = this.#isIncomplete;
    this.#isIncomplete = false;
    return isIncomplete;
  }

  /** Everything that is pending is from now on the caller's. */
  take(): Map<string, PendingPath> {
    const paths = this.#paths;
    this.#paths = new Map();
    return paths;
  }

  /** It is to be examined again. */
  giveBack(path: string, { isWritten, isNew, removal, isMovedAway, presence }: PendingPath): void {
    // Of what was told since, the last counts.
    const isFirst = !this.#paths.has(path);
    const pending = this.#of(path);
    if (presence === "moved-here" || isFirst) pending.presence = presence;
    pending.isWritten ||= isWritten;
    pending.isNew ||= isNew;
    if (removal <= pending.removal) return;
    pending.removal = removal;
    pending.isMovedAway = isMovedAway;
  }

  /** The path has to be examined because it appeared, or may have been there unnoticed. */
  noteNew(path: string, isWritten: boolean): void {
    const pending = this.#of(path);
    pending.isWritten ||= isWritten;
    pending.isNew = true;
    doubtRemoval(pending);
  }

  /** It is gone as this look finds, and its removal may be in the queue. Returns what is known of it now. */
  noteVanished(path: string, told: PendingPath): PendingPath {
    this.hear();
    const isTold = (this.#paths.get(path)?.removal ?? 0) > 0;
    this.giveBack(path, told);
    if (!isTold) this.noteGone(path);
    return this.#of(path);
  }

  /** Returns the number of a removal that a look found without an event. */
  countRemoval(): number {
    return (this.#removals += 1);
  }

  /** The path is found to be gone without an event, by a comparison: it counts as the last removal. */
  noteGone(path: string): void {
    const pending = this.#of(path);
    pending.removal = this.countRemoval();
    pending.isMovedAway = false;
  }

  note(path: string): void {
    const pending = this.#of(path);
    pending.isWritten = true;
    doubtRemoval(pending);
  }

  readonly #onNews = (path: string, news: FileNews, isPlaceCertain: boolean): void => {
    if (!this.#isRelevant(path)) return;
    const pending = this.#of(path);
    if (news === "gone" || news === "moved-away") {
      pending.removal = this.#removals += 1;
      pending.isMovedAway = news === "moved-away";
      if (pending.presence !== "moved-here") pending.presence = isPlaceCertain ? "surely-gone" : "unknown";
      return;
    }
    if (news === "moved-here") pending.presence = "moved-here";
    else {
      doubtRemoval(pending);
      pending.isWritten = true;
    }
    if (news !== "written") pending.isNew = true;
  };

  #of(path: string): PendingPath {
    let pending = this.#paths.get(path);
    if (pending === undefined) {
      pending = { isWritten: false, isNew: false, removal: 0, isMovedAway: false, presence: "unknown" };
      this.#paths.set(path, pending);
    }
    return pending;
  }

  #isRelevant(path: string): boolean {
    let isRelevant = this.#relevant.get(path);
    if (isRelevant === undefined) {
      if (this.#relevant.size >= rememberedMax) this.#relevant = new Map();
      isRelevant = this.#matcher.visits(path);
      this.#relevant.set(path, isRelevant);
    }
    return isRelevant;
  }
}

/** Something is, or may be, there again. */
function doubtRemoval(pending: PendingPath): void {
  if (pending.presence === "surely-gone") pending.presence = "unknown";
}
