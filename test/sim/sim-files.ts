/** A machine's files, as its application works with them: those beside the database, in the data folder. */
import { ownersOwn } from "../../src/core/files/file-owner.ts";
import type { FileEntry } from "../../src/core/files/file-entry.ts";
import { type FileMatcher, fileMatcher } from "../../src/core/files/file-pattern.ts";
import { FileTree } from "../../src/core/files/file-tree.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import { databaseName } from "./sim-database.ts";
import { type FolderNode, SimFileSystem, type SimNode } from "./sim-file-system.ts";
import {
  contentOf,
  current,
  hashesOf,
  incoming,
  isFolderUpload,
  ledgers,
  linkTo,
  modeOf,
  partName,
  patternsOf,
  standingOf,
  uploads,
} from "./sim-uploads.ts";

/** On each machine. */
export const dataFolder = "/data";
export const previousFolder = "/state/previous";
export const setAsideFolder = "/set-aside";

export const matcherOf = (coversIncoming: boolean): FileMatcher =>
  fileMatcher({ files: patternsOf(coversIncoming), except: [], databases: [databaseName], reserved: [] });

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const lineBytes = 16;
/** Of one ledger: some pieces. */
const linesMax = 20;
/** With each of so many lines a ledger is written again, and renamed over the one that is there. */
const rewrittenEvery = 5;

export class SimFiles {
  readonly fs: SimFileSystem;
  #begun = 0;
  #durable: FolderNode | undefined;

  /** `wallTime`: milliseconds. */
  constructor(wallTime: () => number) {
    this.fs = new SimFileSystem(wallTime);
    this.fs.makeFolders(dataFolder);
    this.#durable = this.fs.snapshot(dataFolder);
  }

  /** Returns where the first half of it is, where nothing refers to it; with the line in the ledger, if it has one. */
  beginUpload(id: number, ledger: number | undefined): string {
    // A repetition of the request may be executed at the same time.
    this.#begun += 1;
    const at = at_(`${incoming}/${id}-${this.#begun}`);
    this.fs.makeFolders(isFolderUpload(id) ? at : at_(incoming), 0o750);
    const content = contentOf(id);
    this.fs.write(isFolderUpload(id) ? `${at}/${partName}` : at, content.subarray(0, content.length >> 1));
    if (ledger !== undefined) this.#addLine(ledger, id);
    return at;
  }

  /** The rest of it, and the rename into place: of a file over what is there. */
  finishUpload(id: number, from: string): void {
    const to = at_(`${uploads}/${id}`);
    const file = isFolderUpload(id) ? `${from}/${partName}` : from;
    const content = contentOf(id);
    if (this.fs.find(file) === undefined) throw new Error(`${file} is gone before it was renamed`);
    this.fs.append(file, content.subarray(content.length >> 1));
    this.fs.chmod(file, modeOf(id));
    this.fs.makeFolders(at_(uploads));
    if (isFolderUpload(id)) this.fs.remove(to);
    this.fs.rename(from, to);
  }

  removeUpload(id: number): void {
    this.fs.remove(at_(`${uploads}/${id}`));
  }

  /** What stands for the key's upload is replaced, by something of any kind; undefined: by nothing. */
  pointTo(key: number, id: number | undefined): void {
    if (id === undefined) return this.fs.remove(at_(`${current}/${key}`));
    const [from, to] = [at_(`${incoming}/current-${key}`), at_(`${current}/${key}`)];
    this.fs.remove(from);
    for (const folder of [incoming, current]) this.fs.makeFolders(at_(folder));
    const standing = standingOf(id);
    if (standing === "link") this.fs.link(linkTo(id), from);
    else if (standing === "copy") this.fs.write(from, contentOf(id));
    else {
      this.fs.makeFolders(from, 0o700);
      this.fs.write(`${from}/${partName}`, contentOf(id));
    }
    // A rename replaces a file or a link by another one, and nothing else.
    if (standing === "folder" || this.fs.find(to)?.kind === "folder") this.fs.remove(to);
    this.fs.rename(from, to);
  }

  /** Uploads that the application's end interrupted are cleared away. */
  tidy(): void {
    this.fs.remove(at_(incoming));
  }

  /** A file that an operator puts there while no host runs. */
  leave(name: string): void {
    this.fs.makeFolders(at_(uploads));
    this.fs.write(at_(`${uploads}/${name}`), encoder.encode(`an operator's ${name}`));
  }

  /** Whether what an operator left is in a folder of what is set aside. */
  isSetAside(name: string): boolean {
    const folders = this.fs.find(setAsideFolder);
    if (folders?.kind !== "folder") return false;
    return [...folders.children.keys()].some(
      (folder) => this.fs.find(`${setAsideFolder}/${folder}/${uploads}/${name}`) !== undefined,
    );
  }

  /** Ids in the ledgers of a key. */
  readonly lines = (key: number): ReadonlySet<number> => {
    const ids = new Set<number>();
    for (let number = 0; ; number++) {
      const found = this.fs.find(at_(`${ledgers}/${key}.${number}`));
      if (found?.kind !== "file") return ids;
      for (const line of decoder.decode(found.bytes).split("\n")) ids.add(Number(line));
    }
  };

  /** As the journal would have what is covered below a folder. */
  tree(matcher: FileMatcher, folder: string = dataFolder): FileTree {
    const found = this.fs.find(folder);
    return new FileTree(sha256, found?.kind === "folder" ? entriesIn(found, "", matcher) : []);
  }

  /** Everything so far reaches the disk. */
  sync(): void {
    this.#durable = this.fs.snapshot(dataFolder);
  }

  losePower(): void {
    this.fs.restore(dataFolder, this.#durable);
  }

  #addLine(key: number, id: number): void {
    const line = encoder.encode(`${String(id).padEnd(lineBytes - 1)}\n`);
    let number = 0;
    while (this.fs.find(at_(`${ledgers}/${key}.${number + 1}`)) !== undefined) number += 1;
    const found = this.fs.find(at_(`${ledgers}/${key}.${number}`));
    const before = found?.kind === "file" ? found.bytes : new Uint8Array();
    if (before.length >= linesMax * lineBytes) return this.#addTo(key, number + 1, new Uint8Array(), line);
    this.#addTo(key, number, before, line);
  }

  #addTo(key: number, number: number, before: Uint8Array, line: Uint8Array): void {
    const path = at_(`${ledgers}/${key}.${number}`);
    this.fs.makeFolders(at_(ledgers));
    if ((before.length / lineBytes) % rewrittenEvery !== rewrittenEvery - 1) return this.fs.append(path, line);
    const from = at_(`${incoming}/ledger-${key}`);
    this.fs.makeFolders(at_(incoming));
    this.fs.write(from, Buffer.concat([before, line]));
    this.fs.rename(from, path);
  }
}

const at_ = (path: string): string => `${dataFolder}/${path}`;

function* entriesIn(folder: FolderNode, path: string, matcher: FileMatcher): Generator<[string, FileEntry]> {
  for (const [name, node] of folder.children) {
    const at = path === "" ? name : `${path}/${name}`;
    if (node.kind !== "folder") {
      if (matcher.covers(at)) yield [at, entryOf(node)];
    } else if (matcher.visits(at)) {
      if (matcher.coversFolder(at)) yield [at, entryOf(node)];
      yield* entriesIn(node, at, matcher);
    }
  }
}

function entryOf(node: SimNode): FileEntry {
  if (node.kind === "link") return { kind: "link", target: node.target };
  const attributes = { mode: node.mode, uid: ownersOwn, gid: ownersOwn };
  if (node.kind === "folder") return { kind: "folder", ...attributes };
  const pieces = hashesOf(node.bytes).map((hash) => ({ hash, place: { kind: "record", position: 0 } as const }));
  return { kind: "file", ...attributes, mtimeMs: node.mtimeMs, size: node.bytes.length, pieces };
}
