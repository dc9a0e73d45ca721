/**
 * The other runtimes that stead's parts run under, for tests and benches that compare: Node and Deno, pinned, as npm
 * packages that carry the binary itself. `./scripts/runtimes` installs them into .bun/runtimes; a runtime on the PATH
 * is used too when it is new enough.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

export type RuntimeName = "node" | "deno";

export type FoundRuntime =
  /** `command` runs a script whose path is added. */
  | { readonly kind: "found"; readonly command: readonly [string, ...string[]]; readonly version: string }
  | { readonly kind: "missing"; readonly why: string };

const platform = `${process.platform}-${process.arch}`;

interface Runtime {
  readonly packageName: string;
  readonly version: string;
  /** Inside the package. */
  readonly binary: string;
  readonly flags: readonly string[];
  /** Major version from which on it has what stead uses (Promise.withResolvers, zstd, node:sqlite). */
  readonly majorMin: number;
}

const runtimes: Readonly<Record<RuntimeName, Runtime>> = {
  node: { packageName: `node-${platform}`, version: "26.10.0", binary: "bin/node", flags: [], majorMin: 22 },
  deno: {
    packageName: `@deno/${platform}${process.platform === "linux" ? "-glibc" : ""}`,
    version: "2.9.6",
    binary: "deno",
    flags: ["run", "--allow-all", "--no-config"],
    majorMin: 2,
  },
};

export const runtimesFolder = join(import.meta.dirname, "../../.bun/runtimes");

/** For a package manager: `name@version` of each. */
export const runtimePackages: readonly string[] = Object.values(runtimes).map(
  ({ packageName, version }) => `${packageName}@${version}`,
);

export function findRuntime(name: RuntimeName): FoundRuntime {
  const { packageName, binary, flags, majorMin } = runtimes[name];
  const found: string[] = [];
  for (const program of [join(runtimesFolder, "node_modules", packageName, binary), name]) {
    if (program !== name && !existsSync(program)) continue;
    const version = /\d+\.\d+\.\d+/.exec(spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? "")?.[0];
    if (version === undefined) continue;
    if (Number(version.split(".")[0]) >= majorMin) return { kind: "found", command: [program, ...flags], version };
    found.push(version);
  }
  const what =
    found.length === 0
      ? `no ${name} is here`
      : `${name} ${found.join(", ")} is too old, ${majorMin} or newer is needed`;
  return { kind: "missing", why: `${what}: ./scripts/runtimes installs it` };
}
