/** What is at a path below the data folder, without following a link there. */
import type { BigIntStats } from "node:fs";
import { nameOfBytes } from "../../core/database-name.ts";
import type { FileAttributes } from "../../core/files/file-entry.ts";
import { type FileSystem, systemFiles } from "../../runtime/file-system.ts";
import type { FilePath } from "../data-path.ts";

/** Tells whether a file may have changed since it was read. */
export interface FileStamp {
  readonly inode: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export type Found =
  | ({ readonly kind: "file"; readonly stamp: FileStamp } & FileAttributes)
  | ({ readonly kind: "folder" } & FileAttributes)
  | { readonly kind: "link"; readonly target: string }
  /** A socket, pipe or device. */
  | { readonly kind: "other" };

const exact = { bigint: true, throwIfNoEntry: false } as const;

/** Returns undefined if nothing is there. Throws what the file system says otherwise. */
export function findAt(path: FilePath, fs: FileSystem = systemFiles): Found | undefined {
  try {
    const stats = fs.lstatSync(path, exact);
    if (stats === undefined) return undefined;
    if (stats.isSymbolicLink()) return { kind: "link", target: nameOfBytes(fs.readlinkSync(path, "buffer")) };
    if (stats.isDirectory()) return { kind: "folder", ...attributesOf(stats) };
    return stats.isFile() ? { kind: "file", stamp: fileStampOf(stats), ...attributesOf(stats) } : { kind: "other" };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** The path, or a folder on the way to it, is not there. */
export const isAbsent = (error: unknown): boolean =>
  ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");

export const attributesOf = ({ mode, uid, gid }: BigIntStats): FileAttributes => ({
  mode: Number(mode) & 0o7777,
  uid: Number(uid),
  gid: Number(gid),
});

export const fileStampOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): FileStamp => ({
  inode: ino,
  size,
  mtimeNs,
  ctimeNs,
});

/** A rename changes the time of the inode, and nothing of the content. */
export const sameContentStamp = (a: FileStamp, b: FileStamp): boolean =>
  a.inode === b.inode && a.size === b.size && a.mtimeNs === b.mtimeNs;

export const sameStamp = (a: FileStamp, b: FileStamp): boolean => sameContentStamp(a, b) && a.ctimeNs === b.ctimeNs;

export const mtimeMsOf = ({ mtimeNs }: FileStamp): number => Math.max(0, Math.round(Number(mtimeNs) / 1e6));
