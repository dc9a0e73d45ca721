/** The compiled executable of these sources, for tests of what only it has: no repository, no runtime, no PATH. */
import { spawn } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
export const buildMsMax = 180_000;

export interface ProgramRun {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export function runProgram(
  program: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<ProgramRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

/** Compiles it to this path. */
export async function buildBinary(path: string): Promise<void> {
  const env = process.env as Record<string, string>;
  const built = await runProgram(process.execPath, [join(root, "scripts/build.ts"), "--outfile", path], {
    ...{ cwd: root, env },
  });
  if (built.code !== 0) throw new Error(`the build failed:\n${built.out}${built.err}`);
}
