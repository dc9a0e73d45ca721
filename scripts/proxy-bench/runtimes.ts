/**
 * The other runtimes that the data plane runs on (scripts/lib/runtimes.ts), and how it is brought there: one bundle,
 * without types.
 */
import { findRuntime as find, type RuntimeName } from "../lib/runtimes.ts";

export type { RuntimeName };

export interface Runtime {
  readonly name: RuntimeName;
  readonly version: string;
  /** Program and arguments; a script follows. */
  readonly command: readonly [string, ...string[]];
}

/** Undefined: it is not here; `./scripts/runtimes` installs it. */
export function findRuntime(name: RuntimeName): Runtime | undefined {
  const found = find(name);
  return found.kind === "found" ? { name, version: found.version, command: found.command } : undefined;
}

/** Bundles `entry` for any runtime with Node's modules, into `folder`; the path of the script. */
export async function bundleFor(entry: string, folder: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [entry],
    target: "node",
    format: "esm",
    external: ["bun:*"],
    outdir: folder,
    naming: "[name].mjs",
    throw: false,
  });
  const [output] = result.outputs;
  if (!result.success || output === undefined)
    throw new Error(`bundling ${entry} failed: ${result.logs.map(String).join("; ")}`);
  return output.path;
}
