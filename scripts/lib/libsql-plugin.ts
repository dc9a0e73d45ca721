/**
 * libsql finds its native module by a name that it puts together at run time, which no bundler can follow. This plugin
 * writes the name of the build target's package in its place, and refuses when there is no such place any more.
 *
 * The module becomes a file in the executable, which src/runtime/native-module.ts loads: Bun's own way knows only the
 * system's folder for temporary files.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BunPlugin } from "bun";

/** Bun's compile targets, and the package that has libsql's native module for each. */
export const libsqlPackages = {
  "bun-linux-x64": "@libsql/linux-x64-gnu",
  "bun-linux-x64-musl": "@libsql/linux-x64-musl",
  "bun-linux-arm64": "@libsql/linux-arm64-gnu",
  "bun-linux-arm64-musl": "@libsql/linux-arm64-musl",
  "bun-darwin-x64": "@libsql/darwin-x64",
  "bun-darwin-arm64": "@libsql/darwin-arm64",
  "bun-windows-x64": "@libsql/win32-x64-msvc",
} as const;
export type BuildTarget = keyof typeof libsqlPackages;

export const isBuildTarget = (text: string): text is BuildTarget => Object.hasOwn(libsqlPackages, text);

/** The target that runs on this machine. */
export function nativeTarget(): BuildTarget {
  const system = process.platform === "darwin" ? "darwin" : "linux";
  const processor = process.arch === "arm64" ? "arm64" : "x64";
  const musl =
    system === "linux" &&
    existsSync(`/lib/ld-musl-${processor === "arm64" ? "aarch64" : "x86_64"}.so.1`) &&
    !existsSync("/lib64/ld-linux-x86-64.so.2");
  const target = `bun-${system}-${processor}${musl ? "-musl" : ""}`;
  if (!isBuildTarget(target)) throw new Error(`no build target for ${process.platform} ${process.arch}`);
  return target;
}

const loader = join(import.meta.dirname, "..", "..", "src", "runtime", "native-module.ts");
const dynamicRequire = "require(`@libsql/${target}`)";

/** Replaces the one dynamic `require` in the text of libsql's index.js; throws where it is not there exactly once. */
export function literalRequire(source: string, target: BuildTarget): string {
  const parts = source.split(dynamicRequire);
  if (parts.length !== 2) {
    throw new Error(
      `libsql/index.js has ${parts.length - 1} times ${dynamicRequire}, expected once; adapt scripts/lib/libsql-plugin.ts`,
    );
  }
  // Where this folder is on the machine that builds would be in the executable.
  return parts
    .join(`require("${loader}").loadEmbedded(require("${libsqlPackages[target]}"))`)
    .replaceAll("__dirname", '"."');
}

/** `library`: the folder of the target's package. */
export function libsqlPlugin(
  target: BuildTarget,
  library: string,
): { readonly plugin: BunPlugin; replaced(): boolean } {
  let replaced = false;
  return {
    replaced: () => replaced,
    plugin: {
      name: "libsql-native",
      setup(build) {
        build.onLoad({ filter: /node_modules\/libsql\/index\.js$/ }, ({ path }) => {
          const contents = literalRequire(readFileSync(path, "utf8"), target);
          replaced = true;
          return { contents, loader: "js" };
        });
        // Not in node_modules where the target is not this machine.
        build.onResolve({ filter: /^@libsql\/(?:linux|darwin|win32)-/ }, () => ({ path: join(library, "index.node") }));
        build.onLoad({ filter: /@libsql\/[^/]+\/index\.node$/ }, ({ path }) => ({
          contents: readFileSync(path),
          loader: "file",
        }));
      },
    },
  };
}
