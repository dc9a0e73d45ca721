/**
 * Paths of databases: text where the name is text, and otherwise the bytes that the name stands for
 * (core/database-name.ts). Everything that opens a file by a database's name goes through here.
 */
import { join } from "node:path";
import { bytesOfName, hasEscapes, nameOfBytes } from "../core/database-name.ts";

export type FilePath = string | Buffer;

/** Where the database (or folder) with this name is below a folder. */
export function pathOf(folder: string, name: string): FilePath {
  return hasEscapes(name) ? Buffer.concat([Buffer.from(`${folder}/`), bytesOfName(name)]) : join(folder, name);
}

/** The path of a companion file: `-wal` and the like. */
export const withSuffix = (path: FilePath, suffix: string): FilePath =>
  typeof path === "string" ? path + suffix : Buffer.concat([path, Buffer.from(suffix)]);

/** The folder that a file is in. */
export function folderOf(path: FilePath): FilePath {
  const end = path.lastIndexOf("/");
  return typeof path === "string" ? path.slice(0, end) : path.subarray(0, end);
}

/** For people, and for comparing with what the kernel lists. */
export const textOf = (path: FilePath): string => (typeof path === "string" ? path : nameOfBytes(path));

/** For SQLite, which decodes it to the same bytes (https://www.sqlite.org/uri.html). */
export function uriOf(path: FilePath, query: string): string {
  const escaped = [...Buffer.from(path)].map((byte) =>
    plain.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`,
  );
  return `file:${escaped.join("")}?${query}`;
}

const plain = /[A-Za-z0-9/._~-]/;
