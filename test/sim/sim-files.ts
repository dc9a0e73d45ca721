/**
 * The files beside the database on a simulated disk, and which of them the application must have.
 *
 * Some requests upload a file and commit a row that refers to it: of an append the row is its id in the list, of a put
 * its id in the register. A put that replaces a row with a file removes that file, after its commit. Contents follow
 * from the id, so that anyone can tell whether a file is the right one.
 */
import type { FileChange } from "../../src/core/files/file-change.ts";
import type { FileEntry } from "../../src/core/files/file-entry.ts";
import { FileTree } from "../../src/core/files/file-tree.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import type { SimDatabase } from "./sim-database.ts";

const [uploads, incoming] = ["uploads/", "incoming/"];
const attributes = { mode: 0o644, uid: 0, gid: 0 };

/** Where the file of a row is, and where it is written before. */
export const uploadOf = (id: number): string => `${uploads}${id}`;
export const incomingOf = (id: number): string => `${incoming}${id}`;
export const isIncoming = (path: string): boolean => path.startsWith(incoming);

export const contentOf = (id: number): Uint8Array => new TextEncoder().encode(`what was uploaded with request ${id}`);

/** `every`: one request of so many has a file; 0: none has. */
export const hasFile = (id: number, every: number): boolean => every > 0 && id > 0 && id % every === 0;

const hashOf = (content: Uint8Array): string => sha256(content).toString("hex");
export const hashOfUpload = (id: number): string => hashOf(contentOf(id));

/** Returns what is wrong with the file of a row. `find`: the hash of the content at a path. */
export function wrongFileOf(id: number, find: (path: string) => string | undefined): string | undefined {
  const found = find(uploadOf(id));
  if (found === hashOfUpload(id)) return undefined;
  return `row ${id} refers to ${uploadOf(id)}, which ${found === undefined ? "is not there" : "has another content"}`;
}

/** Looks for the file of each row of a database. */
export function wrongFile(
  database: SimDatabase,
  every: number,
  find: (path: string) => string | undefined,
): string | undefined {
  if (every === 0) return undefined;
  for (let key = 0; key < database.keys; key++)
    for (const id of [...database.ids(key), database.register(key).value]) {
      const wrong = hasFile(id, every) ? wrongFileOf(id, find) : undefined;
      if (wrong !== undefined) return wrong;
    }
  return undefined;
}

/** For `wrongFile`: the hash of a file of a tree. */
export const hashIn =
  (tree: FileTree) =>
  (path: string): string | undefined => {
    const entry = tree.get(path);
    return entry?.kind === "file" ? entry.pieces[0]?.hash : undefined;
  };

export class SimFiles {
  /** Contents are never changed in place. */
  readonly #contents: Map<string, Uint8Array>;
  #durable: ReadonlyMap<string, Uint8Array> = new Map();
  /** Paths that changed since capture last took them. */
  #dirty = new Set<string>();

  constructor(contents: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.#contents = new Map(contents);
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  get contents(): ReadonlyMap<string, Uint8Array> {
    return this.#contents;
  }

  readonly hashOf = (path: string): string | undefined => {
    const content = this.#contents.get(path);
    return content === undefined ? undefined : hashOf(content);
  };

  /** Of the tree that these files are. */
  get checksum(): Uint8Array {
    return new FileTree(
      sha256,
      [...this.#contents].map(([path, content]) => [path, entryOf(content)]),
    ).checksum;
  }

  write(path: string, content: Uint8Array): void {
    this.#contents.set(path, content);
    this.#dirty.add(path);
  }

  rename(from: string, to: string): void {
    const content = this.#contents.get(from);
    if (content === undefined) throw new Error(`${from} is gone before it was renamed`);
    this.write(to, content);
    this.remove(from);
  }

  remove(path: string): void {
    this.#contents.delete(path);
    this.#dirty.add(path);
  }

  /** What is there is not in the journal. */
  markAll(): void {
    for (const path of this.#contents.keys()) this.#dirty.add(path);
  }

  /** What capture takes: how the files differ from those of the journal. */
  takeChanges(journaled: FileTree): FileChange[] {
    const puts: FileChange[] = [];
    const removed = [...this.#dirty].filter((path) => !this.#contents.has(path) && journaled.get(path) !== undefined);
    const bases = new Map(removed.map((path) => [hashIn(journaled)(path), path]));
    for (const path of this.#dirty) {
      const content = this.#contents.get(path);
      if (content === undefined || hashIn(journaled)(path) === hashOf(content)) continue;
      const hash = hashOf(content);
      const base = bases.get(hash);
      const named = { kind: "put-file", path, ...attributes, mtimeMs: 0, size: content.length } as const;
      puts.push(
        base === undefined
          ? { ...named, pieces: [{ hash, source: { kind: "inline", bytes: content } }] }
          : { ...named, base, pieces: [{ hash, source: { kind: "same", index: 0 } }] },
      );
    }
    this.#dirty = new Set();
    return [...puts, ...removed.map((path): FileChange => ({ kind: "remove", path }))];
  }

  /** What a replica does with the files of a flush: contents first, of the state before, and then in order. */
  apply(changes: readonly FileChange[]): void {
    const made = new Map<string, Uint8Array>();
    for (const change of changes) {
      if (change.kind !== "put-file") continue;
      const [piece] = change.pieces;
      const content = piece?.source.kind === "inline" ? piece.source.bytes : this.#contents.get(change.base ?? "");
      if (content === undefined) throw new Error(`${change.path}: its content is nowhere`);
      made.set(change.path, content.slice());
    }
    for (const { kind, path } of changes) {
      const content = made.get(path);
      if (kind === "put-file" && content !== undefined) this.#contents.set(path, content);
      else this.#contents.delete(path);
    }
  }

  /** Everything so far reaches the disk. */
  sync(): void {
    this.#durable = new Map(this.#contents);
  }

  losePower(): void {
    this.#contents.clear();
    for (const [path, content] of this.#durable) this.#contents.set(path, content);
    this.#dirty.clear();
  }
}

const entryOf = (content: Uint8Array): FileEntry => ({
  ...{ kind: "file", ...attributes, mtimeMs: 0, size: content.length },
  pieces: [{ hash: hashOf(content), place: { kind: "record", position: 0 } }],
});
