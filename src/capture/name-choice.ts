/**
 * One name for each file that was found under several. With symbolic links, of the file or of a folder, there is one
 * real path, which SQLite uses; the file is captured once, under the name that is its place, or the first of its links.
 * Hard links are different places: they stay, and are refused when they are attached.
 */
import { realpathSync } from "node:fs";
import { type FilePath, textOf } from "./data-path.ts";
import type { FoundFile } from "./discovery.ts";

/** Removes the other names from `found`, and returns them with the one that is kept. */
export function chooseNames(found: Map<string, FoundFile>): ReadonlyMap<string, string> {
  const aliases = new Map<string, string>();
  const byFile = new Map<string, string[]>();
  for (const [name, { identity }] of found) {
    const key = `${identity.device} ${identity.inode}`;
    const names = byFile.get(key);
    if (names === undefined) byFile.set(key, [name]);
    else names.push(name);
  }
  for (const names of byFile.values()) if (names.length > 1) dropAliases(found, names, aliases);
  return aliases;
}

function dropAliases(found: Map<string, FoundFile>, names: readonly string[], aliases: Map<string, string>): void {
  const kept = new Map<string, string>();
  // A file itself before links to it; then a place without a linked folder on the way.
  const rank = (name: string): number => {
    const file = found.get(name);
    return file?.isLink === true
      ? 2
      : file !== undefined && realText(file.path) === Buffer.from(file.path).toString("latin1")
        ? 0
        : 1;
  };
  for (const name of [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))) {
    const file = found.get(name);
    if (file === undefined) continue;
    const place = realText(file.path);
    const other = kept.get(place);
    if (other === undefined) kept.set(place, name);
    else {
      aliases.set(name, other);
      found.delete(name);
    }
  }
}

/** Bytes as text, for comparing. */
function realText(path: FilePath): string {
  try {
    return realpathSync(path, { encoding: "buffer" }).toString("latin1");
  } catch {
    return Buffer.from(path).toString("latin1");
  }
}

/** Warns operators about links, which are not copied to other hosts. May repeat itself. */
export function tellLinks(
  found: ReadonlyMap<string, FoundFile>,
  aliases: ReadonlyMap<string, string>,
  tell: (text: string) => void,
): void {
  for (const [alias, name] of aliases)
    tell(
      `${alias} is a symbolic link to ${name}, which is captured under that name: make the same link on every host, links are not copied`,
    );
  for (const [name, { isLink, path }] of found)
    if (isLink) tell(`${name} is a symbolic link to ${textOf(path)}: a restore puts a file in the place of the link`);
}
