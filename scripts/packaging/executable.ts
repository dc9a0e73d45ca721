/**
 * One executable of a target: Bun, the program, libSQL's native module and the migrations, which reads neither `.env`
 * nor `bunfig.toml` from the folder it is started in. Bun's runtime for another machine than this one comes from npm,
 * like the native module.
 */
import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { type BuildTarget, libsqlPackages, libsqlPlugin, nativeTarget } from "../lib/libsql-plugin.ts";
import { lockedPackage } from "./locked-package.ts";

const root = join(import.meta.dirname, "..", "..");

/** Bun's executable of a target, as a package and the path inside of it. */
const runtimes: Readonly<Record<BuildTarget, readonly [name: string, path: string]>> = {
  "bun-linux-x64": ["@oven/bun-linux-x64", "bin/bun"],
  "bun-linux-x64-musl": ["@oven/bun-linux-x64-musl", "bin/bun"],
  "bun-linux-arm64": ["@oven/bun-linux-aarch64", "bin/bun"],
  "bun-linux-arm64-musl": ["@oven/bun-linux-aarch64-musl", "bin/bun"],
  "bun-darwin-x64": ["@oven/bun-darwin-x64", "bin/bun"],
  "bun-darwin-arm64": ["@oven/bun-darwin-aarch64", "bin/bun"],
  "bun-windows-x64": ["@oven/bun-windows-x64", "bin/bun.exe"],
};

export const runtimePackage = (target: BuildTarget): string => runtimes[target][0];

/** The path of Bun's executable for this target. */
export async function runtimeOf(target: BuildTarget): Promise<string> {
  if (target === nativeTarget()) return process.execPath;
  const [name, path] = runtimes[target];
  return join(await lockedPackage(name), path);
}

export interface Executable {
  readonly target: BuildTarget;
  readonly outfile: string;
  /** Of the sources; it is in the version. Empty: unknown. */
  readonly commit: string;
}

/** Throws with what Bun said. The same sources give the same bytes. */
export async function buildExecutable({ target, outfile, commit }: Executable): Promise<void> {
  const isNative = target === nativeTarget();
  const name = libsqlPackages[target];
  const library = isNative ? join(root, "node_modules", name) : await lockedPackage(name);
  const plugin = libsqlPlugin(target, library);
  mkdirSync(dirname(outfile), { recursive: true });
  const result = await Bun.build({
    entrypoints: [join(root, "src", "main.ts")],
    target: "bun",
    minify: { syntax: true, whitespace: true },
    // Compiled ahead: it starts in a third of the time, for 10 MiB (docs/PLATFORMS.md).
    ...{ bytecode: true, format: "esm", sourcemap: "inline" },
    define: { STEAD_BUILD: JSON.stringify(commit) },
    plugins: [plugin.plugin],
    compile: {
      ...{ target, outfile, autoloadDotenv: false, autoloadBunfig: false },
      ...(isNative ? {} : { executablePath: await runtimeOf(target) }),
    },
    throw: false,
  });
  if (!result.success) throw new Error(result.logs.map(({ message }) => message).join("\n"));
  if (!plugin.replaced())
    throw new Error(
      "libsql's index.js was not bundled, or does not load its native module as expected: compare node_modules/libsql/index.js with scripts/lib/libsql-plugin.ts",
    );
  // The map is inside the executable; Bun leaves a copy beside it.
  rmSync(`${outfile}.map`, { force: true });
}
