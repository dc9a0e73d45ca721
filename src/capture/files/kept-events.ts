/**
 * The folders of a secondary, watched before it is needed: for each folder that the kernel is to watch, it visits all
 * entries that it has in memory, so a promotion that begins with that waits the longer the more files there are.
 *
 * What happened before the application starts is no change of it, so the news itself is dropped. What must hold at a
 * promotion is that a watch that stands for a path is on the folder that has this path. The kernel says when a watched
 * folder is removed, and, by the folder above it, when its name is given to another one. A folder is therefore watched
 * after those above it, and a watch whose path was renamed or replaced is given up and made again. If events were lost,
 * all are made again. What is not watched when the files are handed over is watched then.
 *
 * Attacked in test/capture/files/kept-events.test.ts: "a folder that took the place of another".
 */
import type { FileMatcher } from "../../core/files/file-pattern.ts";
import { type FileTree, folderOfPath } from "../../core/files/file-tree.ts";
import { pathOf } from "../data-path.ts";
import { FileEvents, type FileNews, type KernelEvents } from "./file-events.ts";

/** Folders that are watched at one look: a millisecond or two. */
const foldersAtOnce = 20;

export class KeptEvents {
  readonly #root: string;
  readonly #openKernel: (() => Promise<KernelEvents | string>) | undefined;
  #events: FileEvents | undefined;
  #tree: FileTree | undefined;
  /** The rest of the round through the folders of the tree. */
  #round: Iterator<string> | undefined;

  /** `root`: the data folder. `openKernel`: default: inotify. */
  constructor(root: string, openKernel?: () => Promise<KernelEvents | string>) {
    this.#root = root;
    this.#openKernel = openKernel;
  }

  /** Another replica begins: watches of the one before are of no use. Where there is no inotify nothing is kept. */
  async begin(): Promise<void> {
    this.#close();
    const events = await FileEvents.open(this.#openKernel);
    this.#close();
    if (typeof events !== "string") this.#events = events;
  }

  /** Takes what the kernel has told, and has it watch the next few folders. Sync. */
  look(tree: FileTree, matcher: FileMatcher): void {
    const events = this.#hear();
    if (events === undefined) return;
    if (this.#tree !== tree) this.#round = undefined;
    this.#tree = tree;
    this.#round ??= tree.folders()[Symbol.iterator]();
    this.#watch("", events);
    for (let at = 0; at < foldersAtOnce; at++) {
      const next = this.#round.next();
      if (next.done === true) {
        this.#round = undefined;
        return;
      }
      if (matcher.coversFolder(next.value)) this.#watch(next.value, events);
    }
  }

  /** Hands the watches over; undefined: there are none. */
  take(): FileEvents | undefined {
    const events = this.#hear();
    this.#events = undefined;
    this.#close();
    return events;
  }

  #close(): void {
    this.#events?.close();
    this.#events = undefined;
    this.#tree = undefined;
    this.#round = undefined;
  }

  #hear(): FileEvents | undefined {
    if (this.#events?.hear(this.#onNews) === true) this.#events.forgetAll();
    return this.#events;
  }

  readonly #onNews = (path: string, news: FileNews): void => {
    if (news !== "written" && this.#events?.watches(path) === true) this.#events.forget(path);
  };

  #watch(folder: string, events: FileEvents): void {
    if (events.watches(folder)) return;
    const above = folderOfPath(folder);
    if (folder !== "") this.#watch(above, events);
    // One that the kernel cannot watch now is for the promotion, which says so.
    if (folder === "" || events.watches(above))
      events.watch(folder, folder === "" ? this.#root : pathOf(this.#root, folder));
  }
}
