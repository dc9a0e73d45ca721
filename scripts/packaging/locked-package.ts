/**
 * Packages of bun.lock for machines of another kind: Bun's runtime and libSQL's native module of each target. They come
 * from the npm registry by Bun's own client, into .bun/packages, and only with the hash that bun.lock has: Bun compares
 * the download with the registry's hash, and this file compares that with the lock.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../lib/command.ts";

const root = join(import.meta.dirname, "..", "..");
export const packagesFolder = join(root, ".bun", "packages");

export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** `sha512-…`, of the packed package. */
  readonly integrity: string;
  readonly dependencies: readonly string[];
  readonly optionalDependencies: readonly string[];
}

interface LockEntry {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Reads the text of a bun.lock; the key of an entry is its place (`drizzle-kit/esbuild`). */
export function lockedPackages(text: string): ReadonlyMap<string, LockedPackage> {
  // JSON with commas behind the last element.
  const lock = JSON.parse(text.replaceAll(/,(\s*[}\]])/g, "$1")) as {
    readonly packages: Readonly<Record<string, readonly [id: string, registry: string, LockEntry, integrity: string]>>;
  };
  return new Map(
    Object.entries(lock.packages).map(
      ([place, [id, , { dependencies = {}, optionalDependencies = {} }, integrity]]) => {
        const at = id.lastIndexOf("@");
        return [
          place,
          {
            ...{ name: id.slice(0, at), version: id.slice(at + 1), integrity },
            ...{ dependencies: Object.keys(dependencies), optionalDependencies: Object.keys(optionalDependencies) },
          },
        ];
      },
    ),
  );
}

export const readLock = (): ReadonlyMap<string, LockedPackage> =>
  lockedPackages(readFileSync(join(root, "bun.lock"), "utf8"));

/** Returns the folder of the package, for any machine; throws where it cannot be had, or is not what bun.lock names. */
export async function lockedPackage(name: string): Promise<string> {
  const wanted = readLock().get(name);
  if (wanted === undefined) throw new Error(`bun.lock has no ${name}`);
  const folder = join(packagesFolder, `${name.replaceAll("/", "+")}@${wanted.version}`);
  const installed = join(folder, "node_modules", name);
  if (existsSync(installed)) return installed;
  const making = `${folder}.${process.pid}`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  writeFileSync(join(making, "package.json"), '{ "private": true }\n');
  const { code, output } = await runCommand(
    [
      ...[process.execPath, "add", "--exact", "--ignore-scripts", "--no-progress"],
      ...["--cpu=*", "--os=*", "--libc=*", `${name}@${wanted.version}`],
    ],
    { cwd: making, show: false },
  );
  if (code !== 0) throw new Error(`${name}@${wanted.version} could not be installed:\n${output.trimEnd()}`);
  const found = lockedPackages(readFileSync(join(making, "bun.lock"), "utf8")).get(name);
  if (found?.integrity !== wanted.integrity) {
    rmSync(making, { recursive: true, force: true });
    throw new Error(`${name}@${wanted.version} has ${found?.integrity}, and bun.lock says ${wanted.integrity}`);
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(making, folder);
  return installed;
}
