/** Builds `dist/stead`, one executable (scripts/packaging/executable.ts); `--target` for another kind of machine. */
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { runCommand } from "./lib/command.ts";
import { isBuildTarget, libsqlPackages, nativeTarget } from "./lib/libsql-plugin.ts";
import { readOptions } from "./lib/options.ts";
import { buildExecutable } from "./packaging/executable.ts";

const root = join(import.meta.dirname, "..");
const values = readOptions({
  outfile: { type: "string", default: join(root, "dist", "stead") },
  target: { type: "string", default: nativeTarget() },
});
if (!isBuildTarget(values.target)) {
  console.error(
    `build: found the target "${values.target}"\n  accepted: ${Object.keys(libsqlPackages).join(", ")}\n  do: choose one of these`,
  );
  process.exit(2);
}

const commit = await runCommand(["git", "describe", "--always", "--dirty", "--exclude=*"], { cwd: root, show: false });
const outfile = resolve(values.outfile);
try {
  await buildExecutable({ target: values.target, outfile, commit: commit.code === 0 ? commit.output.trim() : "" });
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
console.log(`${outfile} (${values.target}, ${(statSync(outfile).size / 2 ** 20).toFixed(0)} MiB)`);
