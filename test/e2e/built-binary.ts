/** The compiled executable of these sources, for tests of what only it has: no repository, no runtime, no PATH. */
import { join } from "node:path";
import { runProgram } from "../support/run-program.ts";

const root = join(import.meta.dirname, "../..");
export const buildMsMax = 180_000;

/** Compiles it to this path. */
export async function buildBinary(path: string): Promise<void> {
  const env = process.env as Record<string, string>;
  const built = await runProgram(process.execPath, [join(root, "scripts/build.ts"), "--outfile", path], {
    ...{ cwd: root, env },
  });
  if (built.code !== 0) throw new Error(`the build failed:\n${built.out}${built.err}`);
}
