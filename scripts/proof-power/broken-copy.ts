/**
 * A copy of the sources in which a commit is not synced: what the lossy disks must find. In a log in segments it is the
 * record's content, in a log of objects its name in the folder. All other syncs remain, so that the vault comes back
 * and shows what it has lost. The copy is for the proof alone; the product has no such switch.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const linked = ["node_modules", "package.json", "migrations", "examples", "harness"];

/** What is replaced, once each. The pool makes the calls of `fs-calls.ts` where the thread is busy. */
const changes: readonly (readonly [file: string, found: string, replaced: string])[] = [
  ["fs-calls.ts", "fdatasync: promisify(fs.fdatasync),", "fdatasync: () => Promise.resolve(),"],
  ["fs-segments.ts", "fs.fdatasyncSync(fd);", ""],
  ["put-thread.ts", "fs.fsyncSync(known);", ""],
];

/** Makes the copy in a folder; returns the command that runs it. */
export function copyWithoutSync(folder: string): readonly [string, ...string[]] {
  cpSync(join(root, "src"), join(folder, "src"), { recursive: true });
  for (const name of linked) symlinkSync(join(root, name), join(folder, name));
  for (const [name, found, replaced] of changes) {
    const file = join(folder, "src/vault/store", name);
    const parts = readFileSync(file, "utf8").split(found);
    if (parts.length !== 2) throw new Error(`${name} has "${found}" ${parts.length - 1} times; accepted: once`);
    writeFileSync(file, parts.join(replaced));
  }
  return [process.execPath, join(folder, "src/main.ts")];
}
