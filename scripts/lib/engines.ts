/**
 * SQLite libraries of Node that tests of usage try and that are no dependencies: `./scripts/engines` installs them from
 * npm into .bun/engines. better-sqlite3 is compiled where there is no binary of it for this machine, which takes
 * minutes, for the Node on the PATH.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

export const engineNames = ["better-sqlite3", "@tursodatabase/database"] as const;
export type EngineName = (typeof engineNames)[number];

const versions: Readonly<Record<EngineName, string>> = {
  "better-sqlite3": "12.11.1",
  "@tursodatabase/database": "0.7.2",
};
/** Relative to its folder: what Node imports. */
const mains: Readonly<Record<EngineName, string>> = {
  "better-sqlite3": "lib/index.js",
  "@tursodatabase/database": "dist/promise.js",
};
/** A file that exists only when the engine can be used. */
const proofs: Readonly<Record<EngineName, string>> = {
  "better-sqlite3": "build/Release/better_sqlite3.node",
  "@tursodatabase/database": "dist/promise.js",
};

export const enginesFolder = join(import.meta.dirname, "../../.bun/engines");

/** For a package manager. */
export const enginePackage = (name: EngineName): string => `${name}@${versions[name]}`;

/** The module to import; undefined: `./scripts/engines` installs it. */
export function findEngine(name: EngineName): string | undefined {
  const folder = join(enginesFolder, "node_modules", name);
  return existsSync(join(folder, proofs[name])) ? join(folder, mains[name]) : undefined;
}
