/**
 * What the kernel says about the folders with files of the service (runtime/inotify.ts): the paths that changed.
 *
 * The kernel queues an event before the call that causes it returns. What an application did before it answered is
 * therefore in the queue when its answer arrives here, and one read without waiting shows that nothing changed.
 *
 * A folder is watched by its inode: after a rename its events still come under the number that it got. A folder that
 * appeared at a new name is watched again before it is listed, which gives its number the new name; what was told under
 * the old name until then is covered by that listing. The queue has one order for all folders: the rename is heard
 * before everything that is told under a name that is not the folder's any more, so that such news can say so.
 */
import { nameOfBytes } from "../../core/database-name.ts";
import { Inotify, type InotifyEvent, inotifyEvents } from "../../runtime/inotify.ts";
import type { FilePath } from "../data-path.ts";

/** What happened to a path, as far as it matters. */
export type FileNews =
  /** It may have another content, mode or owner. */
  | "written"
  /** It was created there, or moved there. */
  | "appeared"
  | "moved-here"
  /** It was removed, or moved to another name. */
  | "gone"
  | "moved-away";

const { modify, attributes, closeWrite, movedFrom, movedTo, create, ignored, unmounted } = inotifyEvents;
/** Every entry's name is as in the file system, one character per byte. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is about bytes.
const isPlain = /^[\x00-\x5b\x5d-\x7f]*$/;

export type OnFileNews = (path: string, news: FileNews, isPlaceCertain: boolean) => void;

/** What the kernel tells; the simulation has its own. */
export type KernelEvents = Pick<Inotify, "watch" | "unwatch" | "read" | "close">;

export class FileEvents {
  readonly #inotify: KernelEvents;
  readonly #folders = new Map<number, string>();
  readonly #numbers = new Map<string, number>();
  /** Those whose folder has moved away: it is not known where it is until it is watched again. */
  readonly #astray = new Set<number>();

  private constructor(inotify: KernelEvents) {
    this.#inotify = inotify;
  }

  /** Returns a text with the reason if there are none here. */
  static async open(
    openKernel: () => Promise<KernelEvents | string> = () => Inotify.open(),
  ): Promise<FileEvents | string> {
    const inotify = await openKernel();
    return typeof inotify === "string" ? inotify : new FileEvents(inotify);
  }

  get watched(): number {
    return this.#folders.size;
  }

  /** True if the kernel tells of this folder. */
  watches(folder: string): boolean {
    return this.#numbers.has(folder);
  }

  /** Asks for events of a folder from here on; false: it is gone, no folder, or the kernel's limit is reached. */
  watch(folder: string, path: FilePath): boolean {
    const number = this.#inotify.watch(path, "everything");
    if (number === undefined) return false;
    const before = this.#folders.get(number);
    if (before !== undefined && before !== folder) this.#numbers.delete(before);
    this.#folders.set(number, folder);
    this.#numbers.set(folder, number);
    this.#astray.delete(number);
    return true;
  }

  /** A folder is not there any more, nor what was below it: none of its events matter. */
  forget(folder: string): void {
    for (const [name, number] of this.#numbers) {
      if (name !== folder && !name.startsWith(`${folder}/`)) continue;
      this.#numbers.delete(name);
      this.#folders.delete(number);
      this.#astray.delete(number);
      this.#inotify.unwatch(number);
    }
  }

  forgetAll(): void {
    for (const number of this.#folders.keys()) this.#inotify.unwatch(number);
    this.#folders.clear();
    this.#astray.clear();
    this.#numbers.clear();
  }

  /**
   * Visits what happened since the last call; true: events were lost, and anything may have happened. Sync. Where a
   * place is not certain, it is the one that the path's folder had before a rename.
   */
  hear(onNews: OnFileNews): boolean {
    this.#onNews = onNews;
    return this.#inotify.read(this.#sort);
  }

  #onNews: OnFileNews = () => undefined;

  /** One function for all calls, so that a look without events allocates nothing. */
  readonly #sort = ({ folder: number, mask, entry }: InotifyEvent): void => {
    const folder = this.#folders.get(number);
    if (folder === undefined) return;
    if ((mask & (ignored | unmounted)) !== 0) {
      this.#folders.delete(number);
      this.#astray.delete(number);
      if (this.#numbers.get(folder) === number) this.#numbers.delete(folder);
      // This says nothing of what is at its name by now.
      if (folder !== "") this.#onNews(folder, "gone", false);
      return;
    }
    // Of the folder itself: its own folder tells that too.
    if (entry === "") return;
    const name = isPlain.test(entry) ? entry : nameOfBytes(Buffer.from(entry, "latin1"));
    const path = folder === "" ? name : `${folder}/${name}`;
    if ((mask & movedFrom) !== 0 && this.#numbers.has(path)) this.#noteAstray(path);
    this.#onNews(path, newsOf(mask), !this.#astray.has(number));
  };

  #noteAstray(folder: string): void {
    for (const [name, number] of this.#numbers)
      if (name === folder || name.startsWith(`${folder}/`)) this.#astray.add(number);
  }

  close(): void {
    this.#inotify.close();
  }
}

function newsOf(mask: number): FileNews {
  if ((mask & movedTo) !== 0) return "moved-here";
  if ((mask & create) !== 0) return "appeared";
  if ((mask & movedFrom) !== 0) return "moved-away";
  return (mask & (modify | attributes | closeWrite)) === 0 ? "gone" : "written";
}
