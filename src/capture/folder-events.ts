/**
 * Sorts the kernel's events of the folders with databases: which database was written, and whether files appeared or
 * vanished.
 *
 * Every commit writes to the log before it is in the index, by write(2), so its event is queued before the commit
 * returns to the application, and long before a byte of its response arrives here. One read (a fifth of a microsecond)
 * shows for all databases of all folders that nothing was committed since the last one. docs/CAPTURE.md has the
 * argument, and its limits.
 */
import { type FilePath, folderOf, textOf } from "./data-path.ts";
import { Inotify, type InotifyEvent, inotifyEvents } from "../runtime/inotify.ts";
import { ownerOf } from "../core/database-pattern.ts";

/** Returns the last part of the path, as in events. */
function entryOf(path: FilePath): string {
  const bytes = Buffer.from(path).toString("latin1");
  return bytes.slice(bytes.lastIndexOf("/") + 1);
}

export interface Heard {
  /** A folder changed in a way that may add, remove or replace a database. */
  readonly isChanged: boolean;
  /** Events were lost: anything may have happened. */
  readonly isIncomplete: boolean;
}

const quiet: Heard = { isChanged: false, isIncomplete: false };
const { create, modify, unmounted, ignored } = inotifyEvents;

/**
 * `isCompanion`: of the event's file. `isMoved`: it was renamed or removed, so later writes to it may be reported
 * elsewhere. Returns whether companions of this database stay where they are.
 */
type OnTouched<Database> = (database: Database, isCompanion: boolean, isMoved: boolean) => boolean;

export class FolderEvents<Database> {
  readonly #inotify: Inotify;
  /** By number of the folder, then by entry. */
  readonly #folders = new Map<number, Map<string, Database>>();
  readonly #numbers = new Map<string, number>();

  private constructor(inotify: Inotify) {
    this.#inotify = inotify;
  }

  /** Returns a text with the reason if there are none here. */
  static async open<Database>(): Promise<FolderEvents<Database> | string> {
    const inotify = await Inotify.open();
    return typeof inotify === "string" ? inotify : new FolderEvents(inotify);
  }

  /** Requests events of this folder from here on; returns false if that is impossible. Idempotent. */
  watch(path: FilePath): boolean {
    return this.#numberOf(path) !== undefined;
  }

  /** Assigns events of this file and its companions to the database; returns false if its folder cannot be watched. */
  add(path: FilePath, database: Database): boolean {
    const number = this.#numberOf(folderOf(path));
    if (number === undefined) return false;
    this.#folders.get(number)?.set(entryOf(path), database);
    return true;
  }

  remove(path: FilePath, database: Database): void {
    const entries = this.#folders.get(this.#numbers.get(textOf(folderOf(path))) ?? -1);
    if (entries?.get(entryOf(path)) === database) entries.delete(entryOf(path));
  }

  /** Takes the events since the last call. Sync. */
  hear(onTouched: OnTouched<Database>): Heard {
    let isChanged = false;
    const isIncomplete = this.#inotify.read((event) => {
      isChanged = this.#sort(event, onTouched) || isChanged;
    });
    return isChanged || isIncomplete ? { isChanged: true, isIncomplete } : quiet;
  }

  close(): void {
    this.#inotify.close();
  }

  /** Returns true if a database may have appeared or vanished. */
  #sort({ folder, mask, entry }: InotifyEvent, onTouched: OnTouched<Database>): boolean {
    const entries = this.#folders.get(folder);
    if ((mask & (unmounted | ignored)) !== 0) {
      for (const database of entries?.values() ?? []) onTouched(database, false, true);
      this.#folders.delete(folder);
      return true;
    }
    // No process that follows the rules removes or renames a file of an open database.
    const isMoved = (mask & ~(modify | create)) !== 0;
    const itself = entries?.get(entry);
    if (itself !== undefined) {
      onTouched(itself, false, isMoved);
      return mask !== modify;
    }
    const owner = ownerOf(entry);
    const owned = owner === undefined ? undefined : entries?.get(owner);
    // Other files: logs, excluded databases. Discovery checks those that may become databases as long as they wait.
    if (owned === undefined) return mask !== modify;
    // No process that follows the rules removes or renames a companion of an open database.
    return onTouched(owned, true, isMoved) && isMoved;
  }

  #numberOf(path: FilePath): number | undefined {
    const text = textOf(path);
    const number = this.#inotify.watch(path);
    if (number === undefined) return undefined;
    this.#numbers.set(text, number);
    if (!this.#folders.has(number)) this.#folders.set(number, new Map());
    return number;
  }
}
