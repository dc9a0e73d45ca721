/**
 * Paths of databases: text if the name is text, otherwise the bytes of the name (core/database-name.ts). Every access
 * to a file by a database's name uses these.
 */
import { join } from "node:path";
import { bytesOfName, hasEscapes, nameOfBytes } from "../core/database-name.ts";

export type FilePath = string | Buffer;

/** Returns the path of the database (or folder) with this name below a folder. */
export function pathOf(folder: string, name: string): FilePath {
  return hasEscapes(name) ? Buffer.concat([Buffer.from(`${folder}/`), bytesOfName(name)]) : join(folder, name);
}

/** Returns the path of a companion file: `-wal` and the like. */
export const withSuffix = (path: FilePath, suffix: string): FilePath =>
  typeof path === "string" ? path + suffix : Buffer.concat([path, Buffer.from(suffix)]);

/** Returns the folder of a file. */
export function folderOf(path: FilePath): FilePath {
  const end = path.lastIndexOf("/");
  return typeof path === "string" ? path.slice(0, end) : path.subarray(0, end);
}

/** For messages, and for comparing with the kernel's lists. */
export const textOf = (path: FilePath): string => (typeof path === "string" ? path : nameOfBytes(path));

/** For SQLite, which decodes it to the same bytes (https://www.sqlite.org/uri.html). */
export function uriOf(path: FilePath, query: string): string {
  const escaped = [...Buffer.from(path)].map((byte) =>
    plain.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`,
  );
  return `file:${escaped.join("")}?${query}`;
}

const plain = /[A-Za-z0-9/._~-]/;
