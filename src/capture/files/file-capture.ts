/**
 * The primary's side of the files beside the databases: every change, before the answer that may rest on it leaves, and
 * never after a row that refers to it.
 *
 * Before an answer leaves, the gate reads the kernel's queue (`isAhead`): what the application did before it answered
 * is in it. If something was told, the answer waits for the next flush, which looks at the files after that.
 *
 * A flush has the databases as of one cut, and the files as they are at a look after it. An application that writes a
 * file and then commits a row has the file in the flush with the row, since the file was told before the row was
 * visible. The opposite order needs care: an application that commits the deletion of a row and then removes the file
 * would, between the two, leave a row without its file. So a removal counts in a flush only if it was told before the
 * cut (`begin`), or if no database has moved since the cut when everything until then is heard: cut and look then show
 * one instant. Otherwise it waits for the next flush: until then there is a file too many, never one too few. The
 * journal is ahead from when it is heard until that flush takes it, also while this one is still being made
 * (`mayDefer`): an answer that arrives then must not leave with a flush that lacks the removal.
 *
 * That does not help where a content was removed before it was read: a row of the cut may refer to it. The databases
 * are then read once more (`settle` answers "again"), up to a cut that has the row's deletion, which came before the
 * file's. A rename leaves the content readable at its other name; it asks for a later cut a few times only, so that
 * both names change in one flush also where an application commits all the time.
 *
 * How one would lose a change, and why it is not lost: a file changes while it is read (told again, read again, and the
 * application has not answered yet); a folder appears with files in it (watched before it is listed); the queue
 * overflows (everything is compared); a file is renamed (both names are told, so the tree changes in one flush); two
 * names of one inode (hard links: told under one name, and found by the next comparison under the other); a write
 * through a mapping (not told: found when the file is closed after writing, or by the next comparison).
 *
 * Attacked in test/capture/files/file-capture.test.ts: "a removal waits for the row". Attacked in
 * test/capture/files/file-capture.test.ts: "an answer to a removal that this flush leaves out". Attacked in
 * test/capture/files/file-capture.test.ts: "a folder that appeared with files".
 */
import type { FileChange } from "../../core/files/file-change.ts";
import { pieceLength } from "../../core/files/file-entry.ts";
import type { FileMatcher } from "../../core/files/file-pattern.ts";
import type { FileUser } from "../../core/files/file-owner.ts";
import { FileTree } from "../../core/files/file-tree.ts";
import { allRules, type Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type FileSystem, systemFiles } from "../../runtime/file-system.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { sha256 } from "../../runtime/sha256.ts";
import type { HeldDatabase } from "../uncaptured.ts";
import { FileAuditor } from "./file-auditor.ts";
import { FileEvents, type KernelEvents } from "./file-events.ts";
import { FileExaminer, type FileLimits } from "./file-examiner.ts";
import { FileRate } from "./file-rate.ts";
import { type FetchPiece, type FilesSnapshot, snapshotOfFiles } from "./files-snapshot.ts";
import { PendingPaths } from "./pending-paths.ts";
import { PieceContents, type StorePiece } from "./piece-contents.ts";
import { UncoveredFiles } from "./uncovered-files.ts";

/** What is in the folder when capture begins. */
export type FilesBegin =
  /** The state of the first checkpoint, which reads it. */
  | { readonly kind: "bootstrap" }
  /** What the journal made of the files: nothing else writes into the folder of a secondary. */
  | {
      readonly kind: "journaled";
      readonly tree: FileTree;
      /** Folders that it does not have, because what is in them is not covered; there may be covered files too. */
      readonly foldersBesides: readonly string[];
      /** Paths of the tree that are not covered any more, on purpose. */
      readonly excepted: readonly string[];
      /** Which of its folders are watched already; undefined: none. */
      readonly events?: FileEvents | undefined;
    }
  /** Files of which the journal has none yet: the first flush has them all. */
  | { readonly kind: "unjournaled" };

export interface FileCaptureOptions {
  /** The application's data folder, absolute. */
  readonly root: string;
  readonly matcher: FileMatcher;
  readonly begin: FilesBegin;
  /** Who writes the files here. */
  readonly user: FileUser;
  readonly clock: Clock;
  readonly bounds: FileLimits & { readonly bytesPerSecondMax: number };
  readonly over: "refuse" | "warn";
  readonly patienceMs: number;
  /** Reads a piece from where the vault has it; rejects if it is not there. */
  readonly fetch: FetchPiece;
  readonly onWarning: (text: string) => void;
  /** Default: all are in force. */
  readonly rules?: Rules | undefined;
  /** Default: those of this machine. */
  readonly fs?: FileSystem | undefined;
  readonly openKernel?: (() => Promise<KernelEvents | string>) | undefined;
  /** Contents in the records of one flush; default: `inlineBytesMax` (piece-contents.ts). */
  readonly inlineBytesMax?: number | undefined;
}

/** What a flush says about files. */
export interface FilesBatch {
  readonly changes: readonly FileChange[];
  /** Of the tree after the flush. */
  readonly checksum: Uint8Array;
  /** The flush is durable; its first record has this position. */
  done(firstPosition: number): void;
}

/** Cuts of one flush that are taken so that a rename is in it whole. */
const cutsForRenamesMax = 4;

export class FileCapture {
  readonly #options: FileCaptureOptions;
  readonly #rules: Rules;
  readonly #tree: FileTree;
  readonly #events: FileEvents;
  readonly #pending: PendingPaths;
  readonly #contents: PieceContents;
  readonly #fs: FileSystem;
  readonly #examiner: FileExaminer;
  readonly #uncovered: UncoveredFiles;
  readonly #auditor: FileAuditor;
  readonly #rate: FileRate;
  #store: StorePiece | undefined;
  /** Of the flush that is being made. */
  #cuts = 0;
  /** Removals told before the cut. */
  #removalsAtCut = 0;

  private constructor(options: FileCaptureOptions, events: FileEvents) {
    const { root, matcher, clock, begin, user, bounds, fs = systemFiles } = options;
    this.#options = options;
    this.#fs = fs;
    this.#contents = new PieceContents((bytes) => this.#storePiece(bytes), options.inlineBytesMax);
    this.#rules = options.rules ?? allRules;
    this.#events = events;
    this.#tree = begin.kind === "journaled" ? begin.tree : new FileTree(sha256);
    this.#pending = new PendingPaths(events, matcher, this.#rules);
    this.#uncovered = new UncoveredFiles(options.over, () => clock.now(), options.onWarning);
    this.#examiner = new FileExaminer({
      ...{ root, fs, matcher, user, events, tree: this.#tree, pending: this.#pending, uncovered: this.#uncovered },
      contents: this.#contents,
      bounds,
      leavesOut: options.over === "warn",
    });
    this.#rate = new FileRate(bounds.bytesPerSecondMax, () => clock.now());
    const { stamps } = this.#examiner;
    this.#auditor = new FileAuditor(
      { root, fs, matcher, tree: this.#tree, stamps, pending: this.#pending },
      clock.now(),
    );
  }

  /** Watches all folders that are not watched yet. Before the application starts. Files of the journal are not read. */
  static async open(options: FileCaptureOptions): Promise<FileCapture> {
    const { begin } = options;
    const events =
      (begin.kind === "journaled" ? begin.events : undefined) ?? (await FileEvents.open(options.openKernel));
    if (typeof events === "string") throw new FilesUnavailableError(events);
    const capture = new FileCapture(options, events);
    try {
      await capture.#begin(begin);
      return capture;
    } catch (error) {
      events.close();
      throw error;
    }
  }

  /** True if something changed that no flush has. Sync. */
  isAhead(): boolean {
    this.#pending.hear();
    const { hasEntered, mayDefer } = this.#examiner;
    return this.#pending.isAny || hasEntered || mayDefer || this.#uncovered.isHolding;
  }

  /** Files, links and folders, and bytes of all files. */
  get covered(): { readonly count: number; readonly bytes: number } {
    return { count: this.#tree.size, bytes: this.#tree.bytes };
  }

  /** Call it every few milliseconds. Sync. */
  tick(): void {
    // Also when nothing waits for it: the kernel's queue is bounded.
    this.#pending.hear();
    this.#auditor.tick(this.#options.clock.now());
  }

  /** Where contents go that do not fit into a flush. */
  storeIn(store: StorePiece): void {
    this.#store = store;
  }

  /** What is told from here on may be later than the cut that follows. Sync. */
  readonly begin = (): void => {
    this.#pending.hear();
    this.#removalsAtCut = this.#pending.removals;
  };

  /**
   * Looks at everything that was told. "again": something is needed of which the databases of this cut know too little.
   * `isDatabaseAhead`: of the cut.
   */
  async settle(isDatabaseAhead: () => boolean): Promise<"settled" | "again"> {
    this.#cuts += 1;
    // After the cut: the file of each row in it is told by now.
    if (this.#rules.has("files-before-rows")) this.#pending.hear();
    if (!this.#rules.has("files-after-deletions")) this.#removalsAtCut = Number.POSITIVE_INFINITY;
    await this.#examiner.examine(this.#rules.has("files-rename-whole") ? this.#removalsAtCut : 0);
    if (!this.#rules.has("files-rename-whole")) return "settled";
    const { hasLost, isRenaming, isDeferring } = this.#examiner;
    if (!hasLost && !isDeferring) return "settled";
    // The queue is read first: everything in it happened before this look at the databases.
    this.#pending.hear();
    if (isDatabaseAhead()) return hasLost || (isRenaming && this.#cuts < cutsForRenamesMax) ? "again" : "settled";
    await this.#examiner.examine(this.#pending.removals);
    return "settled";
  }

  /** Returns what the flush has of files; undefined: nothing. From here on the tree has it. */
  take(): FilesBatch | undefined {
    const changes = this.#examiner.take();
    this.#cuts = 0;
    this.#rate.take(newBytesIn(changes));
    this.#assertBounds();
    this.#uncovered.assertPatience(this.#options.patienceMs);
    if (changes.length === 0) return undefined;
    const place = { kind: "record" as const, position: 0 };
    this.#tree.apply(changes, place);
    return {
      changes,
      checksum: this.#tree.checksum,
      done: (firstPosition) => {
        place.position = firstPosition;
        this.#tree.settle(changes);
        this.#contents.release(changes);
      },
    };
  }

  /** The files after the last batch. */
  snapshot(): FilesSnapshot {
    return snapshotOfFiles(this.#options.root, this.#tree.copy(), this.#options.fetch, this.#fs);
  }

  /** What holds responses. Sync. */
  uncaptured(): readonly HeldDatabase[] {
    return this.#uncovered.holding;
  }

  close(): void {
    this.#events.close();
  }

  async #begin(begin: FilesBegin): Promise<void> {
    if (begin.kind === "journaled") {
      const { coversFolder } = this.#options.matcher;
      if (!this.#events.watches("")) this.#examiner.watch("");
      for (const folder of this.#tree.folders())
        if (coversFolder(folder) && !this.#events.watches(folder)) this.#examiner.watch(folder);
      for (const folder of begin.foldersBesides) this.#examiner.enterAlso(folder);
      for (const path of begin.excepted) this.#pending.noteGone(path);
      return;
    }
    this.#examiner.enter("");
    if (begin.kind === "unjournaled") return;
    await this.#examiner.examine(Number.POSITIVE_INFINITY);
    // The first checkpoint has everything: no record does.
    this.#tree.apply(this.#examiner.take(), 0);
    // A vault does not begin with less than is covered: no term would last longer than the patience.
    this.#assertBounds();
    this.#uncovered.assertNone();
  }

  #storePiece(bytes: Uint8Array): Promise<string> {
    // At the start of a vault the first checkpoint reads the files themselves.
    return this.#store === undefined ? Promise.resolve("") : this.#store(bytes);
  }

  #assertBounds(): void {
    const { filesMax, bytesMax, bytesPerSecondMax } = this.#options.bounds;
    const over = (found: number, most: number): number | undefined => (found > most ? found : undefined);
    for (const [what, found, most, setting] of [
      ["files, links and folders", over(this.#tree.size, filesMax), filesMax, "files_max"],
      ["bytes in files", over(this.#tree.bytes, bytesMax), bytesMax, "files_bytes_max"],
      ["bytes of files in each of ten seconds", this.#rate.over, bytesPerSecondMax, "files_rate_max"],
    ] as const)
      if (found === undefined) this.#uncovered.clear(setting);
      else
        this.#uncovered.note(setting, {
          found: `${found} ${what}`,
          accepted: `at most ${most} (${setting})`,
          advice: `Raise ${setting} in [host], or leave files out with files_except.`,
        });
  }
}

/** Bytes that the vault does not have yet. */
const newBytesIn = (changes: readonly FileChange[]): number =>
  changes.reduce((sum, change) => {
    if (change.kind !== "put-file") return sum;
    const fresh = change.pieces.map(({ source }, index) =>
      source.kind === "same" ? 0 : pieceLength(change.size, index),
    );
    return sum + fresh.reduce((bytes, length) => bytes + length, 0);
  }, 0);

export class FilesUnavailableError extends OperatorError {
  constructor(why: string) {
    super("configuration", {
      found: `\`files\` in [host], and no way to learn of changes in time: ${why}`,
      advice: "run the host with the stead binary on Linux, or remove `files`",
    });
  }
}
