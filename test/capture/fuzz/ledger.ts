/**
 * What was acknowledged: tokens by file, and the names that each file had. The oracle of the fuzzer, as bookkeeping
 * without IO of its own but looks at the folder.
 *
 * A file is told by its inode and its birth, so that a rename keeps it and a new file under an old name is another one.
 * An answer that is released acknowledges what was there when its gate was asked: the names of files, too. Names since
 * then may or may not be captured.
 */
import { type BigIntStats, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { matching, names, outside } from "./program.ts";

/** Inode and birth. */
export type FileKey = string;

/** Which file is where, at one moment. */
export interface Scene {
  readonly number: number;
  readonly at: ReadonlyMap<string, FileKey>;
}

export interface LedgerFile {
  readonly key: FileKey;
  /** Acknowledged, and not deleted since. */
  readonly tokens: Map<number, Acknowledged>;
  /** Deleted by an acknowledged transaction. */
  readonly forgotten: Set<number>;
  /** Asked to be deleted, with whatever outcome. */
  readonly dropped: Set<number>;
  /**
   * The application did what SQLite's documentation calls a way to corrupt or lose: only what it still sees itself
   * counts.
   */
  isRisky: boolean;
  /**
   * Several writers with and without locks: they overwrite each other's frames, with and without stead. What is in the
   * files counts then, and nothing if they are damaged.
   */
  isMixed: boolean;
}

export interface Acknowledged {
  /** The step that put it in. */
  readonly by: string;
  /** The file had been under a matching name before, and was under none when the step began. */
  readonly nameless: boolean;
}

export class Ledger {
  readonly #root: string;
  readonly #files = new Map<FileKey, LedgerFile>();
  /** Since the last acknowledged one, that one included. */
  #scenes: Scene[] = [];
  #count = 0;
  /** Files that had a matching name at an acknowledged moment, and until the acknowledgement. */
  readonly #served = new Set<FileKey>();

  constructor(root: string) {
    this.#root = root;
    this.look();
  }

  get files(): Iterable<LedgerFile> {
    return this.#files.values();
  }

  /** Notes which file is where now. */
  look(): Scene {
    const at = new Map<string, FileKey>();
    for (const name of this.#present()) {
      const stats = statsOf(join(this.#root, name));
      // An empty one is no database yet.
      if (stats?.isFile() === true && stats.size > 0n) at.set(name, keyOf(stats));
    }
    this.#count += 1;
    const scene = { number: this.#count, at };
    this.#scenes.push(scene);
    return scene;
  }

  /** What was seen at `scene` is acknowledged: what was before is over. */
  acknowledge(scene: Scene): void {
    this.#scenes = this.#scenes.filter(({ number }) => number >= scene.number);
    for (const name of matching) {
      const key = scene.at.get(name);
      if (key !== undefined && this.#scenes.every((later) => this.#namesIn(later, key).length > 0))
        this.#served.add(key);
    }
  }

  /** Of the file itself, also through a symbolic link. */
  keyAt(name: string): FileKey | undefined {
    const stats = statsOf(join(this.#root, name));
    return stats?.isFile() === true ? keyOf(stats) : undefined;
  }

  file(key: FileKey): LedgerFile {
    let file = this.#files.get(key);
    if (file === undefined)
      this.#files.set(
        key,
        (file = { key, tokens: new Map(), forgotten: new Set(), dropped: new Set(), isRisky: false, isMixed: false }),
      );
    return file;
  }

  /**
   * It was a database of the service, and has no name of one now. A connection that was opened `by` a name of no
   * pattern, which the file has, writes outside of the service: a tenant that was closed and moved away.
   */
  isNameless(key: FileKey, by: string): boolean {
    const scene = this.look();
    const isOutside = (outside as readonly string[]).includes(by) && scene.at.get(by) === key;
    return this.#served.has(key) && this.#namesIn(scene, key).length === 0 && !isOutside;
  }

  /** Under which names a file may be captured; undefined: it need not be. */
  placesOf(key: FileKey): readonly string[] | undefined {
    const places = new Set<string>();
    for (const scene of this.#scenes) {
      const found = this.#namesIn(scene, key);
      if (found.length === 0) return undefined;
      for (const name of found) places.add(name);
    }
    return [...places];
  }

  /** Files that have had this name since the last acknowledged moment. */
  tenantsOf(name: string): readonly FileKey[] {
    return [...new Set(this.#scenes.flatMap(({ at }) => at.get(name) ?? []))];
  }

  #namesIn({ at }: Scene, key: FileKey): string[] {
    return matching.filter((name) => at.get(name) === key);
  }

  #present(): string[] {
    const found = new Set(
      ["", "tenants"].flatMap((folder) =>
        readdirSync(join(this.#root, folder)).map((entry) => (folder === "" ? entry : `${folder}/${entry}`)),
      ),
    );
    return names.filter((name) => found.has(name));
  }
}

const keyOf = ({ ino, birthtimeNs }: BigIntStats): FileKey => `${ino}:${birthtimeNs}`;

function statsOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined; // Links that lead to each other.
  }
}
