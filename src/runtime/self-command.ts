/** How to start this program again: from its sources, as the compiled binary, or as the npm package. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Set in the npm package: the file that starts the program, beside the one that this text is in. */
declare const STEAD_MAIN: string | undefined;

const packagedMain = typeof STEAD_MAIN === "string" ? STEAD_MAIN : undefined;

/** True inside the binary that `bun build --compile` made: its modules are in a virtual file system. */
export const isCompiled = import.meta.url.includes("/$bunfs/") || import.meta.url.includes("/~BUN/");

/** Returns program and leading arguments; a subcommand follows. */
export function selfCommand(): readonly [string, ...string[]] {
  if (isCompiled) return [process.execPath];
  const main = fileURLToPath(new URL(packagedMain ?? "../main.ts", import.meta.url));
  if (!existsSync(main)) throw new Error(`${main} is missing: hosts, gateways and their processes are started from it`);
  return [process.execPath, ...("Deno" in globalThis ? ["run", "--allow-all"] : []), main];
}

/** Returns the path of a file of the repository, or undefined in the compiled binary and in the npm package. */
export function repositoryFile(path: string): string | undefined {
  return isCompiled || packagedMain !== undefined
    ? undefined
    : fileURLToPath(new URL(`../../${path}`, import.meta.url));
}
