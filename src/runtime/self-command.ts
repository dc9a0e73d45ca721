/** How to start this program again: from its sources, or as the compiled binary. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** True inside the binary that `bun build --compile` made: its modules are in a virtual file system. */
const isCompiled = import.meta.url.includes("/$bunfs/") || import.meta.url.includes("/~BUN/");

/** Returns program and leading arguments; a subcommand follows. */
export function selfCommand(): readonly [string, ...string[]] {
  if (isCompiled) return [process.execPath];
  const main = fileURLToPath(new URL("../main.ts", import.meta.url));
  if (!existsSync(main)) throw new Error(`${main} is missing: hosts, gateways and their processes are started from it`);
  return [process.execPath, main];
}

/** Returns the path of a file of the repository, or undefined in the compiled binary. */
export function repositoryFile(path: string): string | undefined {
  return isCompiled ? undefined : fileURLToPath(new URL(`../../${path}`, import.meta.url));
}
