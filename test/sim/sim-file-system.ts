/**
 * A file system in memory, one for each machine: folders, files and symbolic links with modes and times, and open files
 * that outlive their names. Links are followed where the kernel follows them. Its calls are those of the port
 * (src/runtime/file-system.ts), and fail with the kernel's codes. It tells of changes as inotify does (sim-inotify.ts).
 *
 * Contents are never changed in place: a write makes another array. So a snapshot is a copy of the names alone.
 */
import { constants } from "node:fs";
import type { FileSystem } from "../../src/runtime/file-system.ts";
import { inotifyEvents } from "../../src/runtime/inotify.ts";

interface Common {
  readonly ino: number;
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  /** Grows with each change of anything: the time of the inode. */
  changed: number;
}
export type FileNode = Common & { readonly kind: "file"; bytes: Uint8Array };
type LinkNode = Common & { readonly kind: "link"; readonly target: string };
export type FolderNode = Common & { readonly kind: "folder"; readonly children: Map<string, SimNode> };
export type SimNode = FileNode | LinkNode | FolderNode;

/** Hears of each change of an entry: in `folder`, or of `folder` itself if `name` is empty. */
export type TellChange = (folder: FolderNode, mask: number, name: string) => void;

const types = { file: 0o100000, link: 0o120000, folder: 0o040000 } as const;
const { create, modify, closeWrite, movedFrom, movedTo, delete: gone, attributes, ignored, isFolder } = inotifyEvents;
const linksMax = 40;

export class SimFileSystem {
  readonly #wallTime: () => number;
  readonly #open = new Map<number, FileNode>();
  readonly listeners = new Set<TellChange>();
  #root: FolderNode;
  #count = 0;
  #descriptors = 2;

  /** `wallTime`: milliseconds. */
  constructor(wallTime: () => number) {
    this.#wallTime = wallTime;
    this.#root = this.#newFolder(0o755);
  }

  /** Undefined: nothing is there. The last name is not followed if it is a link. */
  find(path: string): SimNode | undefined {
    try {
      const { folder, name } = this.#parentOf(path);
      return name === "" ? folder : folder.children.get(name);
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
      throw error;
    }
  }

  makeFolders(path: string, mode = 0o755): void {
    let folder = this.#root;
    for (const name of namesOf(path)) {
      const found = this.#followed(folder.children.get(name), path);
      if (found !== undefined && found.kind !== "folder") throw failure("ENOTDIR", path);
      folder = found ?? this.#add(folder, name, this.#newFolder(mode));
    }
  }

  /** Creates a file, or replaces its content. */
  write(path: string, bytes: Uint8Array, mode = 0o644): void {
    const { folder, name } = this.#parentOf(path);
    const found = folder.children.get(name);
    if (found !== undefined && found.kind !== "file") throw failure("EISDIR", path);
    const file = found ?? this.#add(folder, name, this.#newFile(mode));
    this.#write(file, bytes);
    this.#tell(folder, modify, name);
    this.#tell(folder, closeWrite, name);
  }

  append(path: string, bytes: Uint8Array, mode = 0o644): void {
    const found = this.find(path);
    this.write(path, Buffer.concat([found?.kind === "file" ? found.bytes : new Uint8Array(), bytes]), mode);
  }

  link(target: string, path: string): void {
    const { folder, name } = this.#parentOf(path);
    if (folder.children.has(name)) throw failure("EEXIST", path);
    this.#add(folder, name, { kind: "link", target, ...this.#common(0o777) });
  }

  chmod(path: string, mode: number): void {
    const { folder, name, node } = this.#at(path);
    node.mode = mode & 0o7777;
    this.#touch(node);
    this.#tell(folder, attributes | folderBit(node), name);
  }

  rename(from: string, to: string): void {
    const { folder, name, node } = this.#at(from);
    const target = this.#parentOf(to);
    const there = target.folder.children.get(target.name);
    if (there === node) return;
    if (there !== undefined) this.#replace(there, node, to);
    folder.children.delete(name);
    target.folder.children.set(target.name, node);
    this.#touch(node);
    this.#tell(folder, movedFrom | folderBit(node), name);
    this.#tell(target.folder, movedTo | folderBit(node), target.name);
  }

  /** Everything below it too; of what is not there it is no error. */
  remove(path: string): void {
    if (this.find(path) === undefined) return;
    const { folder, name, node } = this.#at(path);
    if (node.kind === "folder") for (const child of [...node.children.keys()]) this.remove(`${path}/${child}`);
    folder.children.delete(name);
    this.#end(node);
    this.#tell(folder, gone | folderBit(node), name);
  }

  /** A copy of the names below a folder, for `restore`. */
  snapshot(path: string): FolderNode | undefined {
    const found = this.find(path);
    return found?.kind === "folder" ? copyOf(found) : undefined;
  }

  /** What is below the folder is as it was at the snapshot. Nothing tells of it: the machine has no power. */
  restore(path: string, snapshot: FolderNode | undefined): void {
    const { folder, name } = this.#parentOf(path);
    if (snapshot === undefined) folder.children.delete(name);
    else folder.children.set(name, copyOf(snapshot));
    this.#open.clear();
  }

  /** The port. Paths are text here. */
  get calls(): FileSystem {
    const text = (path: unknown): string => String(path);
    const calls = {
      chmodSync: (path: unknown, mode: number) => this.chmod(text(path), mode),
      chownSync: () => undefined,
      lchownSync: () => undefined,
      existsSync: (path: unknown) => this.find(text(path)) !== undefined,
      lstatSync: (path: unknown, options: StatOptions = {}) => {
        const found = this.find(text(path));
        if (found === undefined && options.throwIfNoEntry !== false) throw failure("ENOENT", text(path));
        return found === undefined ? undefined : statsOf(found, options.bigint === true);
      },
      fstatSync: (fd: number, options: StatOptions = {}) => statsOf(this.#file(fd), options.bigint === true),
      mkdirSync: (path: unknown, { recursive, mode }: { recursive?: boolean; mode?: number } = {}) => {
        if (recursive === true) return this.makeFolders(text(path), mode);
        const { folder, name } = this.#parentOf(text(path));
        if (folder.children.has(name)) throw failure("EEXIST", text(path));
        this.#add(folder, name, this.#newFolder(mode ?? 0o755));
      },
      readdirSync: (path: unknown) => {
        const found = this.#followed(this.find(text(path)), text(path));
        if (found?.kind !== "folder") throw failure(found === undefined ? "ENOENT" : "ENOTDIR", text(path));
        return [...found.children.keys()].sort().map((name) => Buffer.from(name));
      },
      readlinkSync: (path: unknown) => {
        const found = this.find(text(path));
        if (found?.kind !== "link") throw failure("EINVAL", text(path));
        return Buffer.from(found.target);
      },
      renameSync: (from: unknown, to: unknown) => this.rename(text(from), text(to)),
      rmdirSync: (path: unknown) => {
        const { node } = this.#at(text(path));
        if (node.kind !== "folder") throw failure("ENOTDIR", text(path));
        if (node.children.size > 0) throw failure("ENOTEMPTY", text(path));
        this.remove(text(path));
      },
      rmSync: (path: unknown) => this.remove(text(path)),
      symlinkSync: (target: unknown, path: unknown) => this.link(text(target), text(path)),
      unlinkSync: (path: unknown) => {
        const { node } = this.#at(text(path));
        if (node.kind === "folder") throw failure("EISDIR", text(path));
        this.remove(text(path));
      },
      utimesSync: (path: unknown, _at: number, mtime: number) => {
        const { folder, name, node } = this.#at(text(path));
        this.#touch(node);
        node.mtimeMs = Math.round(mtime * 1000);
        this.#tell(folder, attributes, name);
      },
      openSync: (path: unknown, flags: string | number, mode?: number) => this.#openAt(text(path), flags, mode),
      closeSync: (fd: number) => void this.#open.delete(fd),
      ftruncateSync: (fd: number, size: number) => {
        const file = this.#file(fd);
        const bytes = new Uint8Array(size);
        bytes.set(file.bytes.subarray(0, size));
        this.#write(file, bytes);
      },
      readSync: (fd: number, into: Uint8Array, offset: number, length: number, position: number) => {
        const part = this.#file(fd).bytes.subarray(position, position + length);
        into.set(part, offset);
        return part.length;
      },
      writeSync: (fd: number, from: Uint8Array, offset: number, length: number, position: number) => {
        const file = this.#file(fd);
        const bytes = new Uint8Array(Math.max(file.bytes.length, position + length));
        bytes.set(file.bytes);
        bytes.set(from.subarray(offset, offset + length), position);
        this.#write(file, bytes);
        return length;
      },
    };
    const readLater: FileSystem["readLater"] = (...args) => Promise.resolve(calls.readSync(...args));
    return { ...calls, readLater } as unknown as FileSystem;
  }

  #openAt(path: string, flags: string | number, mode?: number): number {
    const isNew = flags === "wx";
    if (isNew) {
      const { folder, name } = this.#parentOf(path);
      if (folder.children.has(name)) throw failure("EEXIST", path);
      this.#add(folder, name, this.#newFile(mode ?? 0o644));
    }
    const found = this.find(path);
    const isFollowing = typeof flags === "string" || (flags & constants.O_NOFOLLOW) === 0;
    if (found?.kind === "link" && !isFollowing) throw failure("ELOOP", path);
    const file = this.#followed(found, path);
    if (file?.kind !== "file") throw failure(file === undefined ? "ENOENT" : "EISDIR", path);
    this.#descriptors += 1;
    this.#open.set(this.#descriptors, file);
    return this.#descriptors;
  }

  #file(fd: number): FileNode {
    const file = this.#open.get(fd);
    if (file === undefined) throw failure("EBADF", String(fd));
    return file;
  }

  #write(file: FileNode, bytes: Uint8Array): void {
    file.bytes = bytes;
    file.mtimeMs = Math.floor(this.#wallTime());
    this.#touch(file);
  }

  #touch(node: SimNode): void {
    node.changed = this.#count += 1;
  }

  #common(mode: number): Common {
    const ino = (this.#count += 1);
    return { ino, mode, uid: 0, gid: 0, mtimeMs: Math.floor(this.#wallTime()), changed: ino };
  }

  #newFolder = (mode: number): FolderNode => ({ kind: "folder", children: new Map(), ...this.#common(mode) });
  #newFile = (mode: number): FileNode => ({ kind: "file", bytes: new Uint8Array(), ...this.#common(mode) });

  #add<Node extends SimNode>(folder: FolderNode, name: string, node: Node): Node {
    folder.children.set(name, node);
    this.#tell(folder, create | folderBit(node), name);
    return node;
  }

  /** What a rename replaces. */
  #replace(there: SimNode, by: SimNode, path: string): void {
    if (there.kind === "folder" && by.kind !== "folder") throw failure("EISDIR", path);
    if (there.kind !== "folder" && by.kind === "folder") throw failure("ENOTDIR", path);
    if (there.kind === "folder" && there.children.size > 0) throw failure("ENOTEMPTY", path);
    this.#end(there);
  }

  /** It has no name any more. */
  #end(node: SimNode): void {
    if (node.kind === "folder") this.#tell(node, ignored, "");
  }

  #tell(folder: FolderNode, mask: number, name: string): void {
    for (const tell of this.listeners) tell(folder, mask, name);
  }

  #at(path: string): { readonly folder: FolderNode; readonly name: string; readonly node: SimNode } {
    const { folder, name } = this.#parentOf(path);
    const node = folder.children.get(name);
    if (node === undefined) throw failure("ENOENT", path);
    return { folder, name, node };
  }

  /** Follows links on the way. An empty name: the path is the root. */
  #parentOf(path: string): { readonly folder: FolderNode; readonly name: string } {
    const names = namesOf(path);
    const name = names.pop() ?? "";
    let folder = this.#root;
    let at = "";
    for (const each of names) {
      const next = this.#followed(folder.children.get(each), `${at}/${each}`);
      at = `${at}/${each}`;
      if (next === undefined) throw failure("ENOENT", path);
      if (next.kind !== "folder") throw failure("ENOTDIR", path);
      folder = next;
    }
    return { folder, name };
  }

  /** `path`: of the node, which its target is relative to. */
  #followed(node: SimNode | undefined, path: string, links = 0): Exclude<SimNode, LinkNode> | undefined {
    if (node?.kind !== "link") return node;
    if (links > linksMax) throw failure("ELOOP", path);
    const target = node.target.startsWith("/") ? node.target : `${path.slice(0, path.lastIndexOf("/"))}/${node.target}`;
    const to = plain(target);
    return this.#followed(this.find(to), to, links + 1);
  }
}

/** Names of a path from the root. */
const namesOf = (path: string): string[] =>
  plain(path)
    .split("/")
    .filter((name) => name !== "");

function plain(path: string): string {
  if (!path.includes("/.")) return path;
  const names: string[] = [];
  for (const name of path.split("/"))
    if (name === "..") names.pop();
    else if (name !== ".") names.push(name);
  return names.join("/");
}

const folderBit = ({ kind }: SimNode): number => (kind === "folder" ? isFolder : 0);

function copyOf(folder: FolderNode): FolderNode {
  const children = new Map<string, SimNode>();
  for (const [name, node] of folder.children) children.set(name, node.kind === "folder" ? copyOf(node) : { ...node });
  return { ...folder, children };
}

interface StatOptions {
  readonly bigint?: boolean;
  readonly throwIfNoEntry?: boolean;
}

function statsOf(node: SimNode, isExact: boolean): object {
  const size = node.kind === "file" ? node.bytes.length : 0;
  const { ino, uid, gid, mtimeMs, changed, kind } = node;
  const mode = types[kind] | node.mode;
  const is = {
    isFile: () => kind === "file",
    isDirectory: () => kind === "folder",
    isSymbolicLink: () => kind === "link",
  };
  if (!isExact) return { ino, mode, uid, gid, size, nlink: 1, mtimeMs, ...is };
  const [mtimeNs, ctimeNs] = [BigInt(mtimeMs) * 1_000_000n, BigInt(changed)];
  const whole = { ino: BigInt(ino), mode: BigInt(mode), uid: BigInt(uid), gid: BigInt(gid), size: BigInt(size) };
  return { ...whole, nlink: 1n, mtimeNs, ctimeNs, ...is };
}

const failure = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code });
