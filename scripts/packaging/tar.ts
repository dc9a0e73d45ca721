/**
 * A tar archive (ustar) in which the same entries give the same bytes: sorted by path, one time for all, owners by
 * number. Folders that entries are in must be entries themselves; they are sorted before what is in them.
 */
import { Buffer } from "node:buffer";

export type TarEntry = {
  /** Relative, without a slash at either end; empty: the top folder, where a prefix names it. */
  readonly path: string;
  readonly uid?: number;
  readonly gid?: number;
} & (
  | { readonly kind: "file"; readonly mode: number; readonly content: Uint8Array | string }
  | { readonly kind: "folder"; readonly mode: number }
  | { readonly kind: "link"; readonly target: string }
);

const block = 512;
const typeFlags = { file: "0", link: "2", folder: "5" } as const;

/** `prefix` is put before each path (`./` in a Debian package). */
export function tar(entries: readonly TarEntry[], timeSeconds: number, prefix = ""): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const content = entry.kind === "file" ? Buffer.from(entry.content) : Buffer.alloc(0);
    parts.push(headerOf(entry, content.length, timeSeconds, prefix), content);
    parts.push(Buffer.alloc((block - (content.length % block)) % block));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

/** Adds the folders that the entries' paths name and that are not there, with mode 0755 of root. */
export function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const known = new Map(entries.map((entry) => [entry.path, entry]));
  for (const { path } of entries) {
    const parts = path.split("/");
    for (let i = 1; i < parts.length; i++) {
      const folder = parts.slice(0, i).join("/");
      if (!known.has(folder)) known.set(folder, { kind: "folder", path: folder, mode: 0o755 });
    }
  }
  return [...known.values()];
}

function headerOf(entry: TarEntry, size: number, timeSeconds: number, prefix: string): Buffer {
  const { name, folder } = splitName(
    `${prefix}${entry.path}${entry.kind === "folder" && entry.path !== "" ? "/" : ""}`,
  );
  const header = Buffer.alloc(block);
  const write = (text: string, at: number, length: number): void => {
    if (Buffer.byteLength(text) > length) throw new Error(`${entry.path}: "${text}" is too long for a tar header`);
    header.write(text, at);
  };
  const octal = (value: number, at: number, length: number): void =>
    write(value.toString(8).padStart(length - 1, "0"), at, length);
  write(name, 0, 100);
  octal(entry.kind === "link" ? 0o777 : entry.mode, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(size, 124, 12);
  octal(timeSeconds, 136, 12);
  header.fill(" ", 148, 156);
  write(typeFlags[entry.kind], 156, 1);
  if (entry.kind === "link") write(entry.target, 157, 100);
  write("ustar\0" + "00", 257, 8);
  if ((entry.uid ?? 0) === 0) {
    write("root", 265, 32);
    write("root", 297, 32);
  }
  write(folder, 345, 155);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

function splitName(path: string): { name: string; folder: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, folder: "" };
  const at = path.lastIndexOf("/", path.length - 2);
  return { name: path.slice(at + 1), folder: path.slice(0, at) };
}
