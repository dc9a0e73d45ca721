/**
 * Builds `dist/stead`: Bun, the program, libSQL's native module and the migrations in one executable, which reads
 * neither `.env` nor `bunfig.toml` from the folder it is started in.
 */
import { mkdirSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { runCommand } from "./lib/command.ts";
import { isBuildTarget, libsqlPackages, libsqlPlugin, nativeTarget } from "./lib/libsql-plugin.ts";
import { readOptions } from "./lib/options.ts";

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
mkdirSync(dirname(outfile), { recursive: true });
const plugin = libsqlPlugin(values.target);
const result = await Bun.build({
  entrypoints: [join(root, "src", "main.ts")],
  target: "bun",
  minify: { syntax: true, whitespace: true },
  sourcemap: "inline",
  define: { STEAD_BUILD: JSON.stringify(commit.code === 0 ? commit.output.trim() : "") },
  plugins: [plugin.plugin],
  compile: { target: values.target, outfile, autoloadDotenv: false, autoloadBunfig: false },
  throw: false,
});
for (const log of result.logs) console.error(log.message);
if (!result.success) process.exit(1);
if (!plugin.replaced()) {
  console.error("build: libsql's index.js was not bundled, or does not load its native module as expected");
  console.error(
    "  do: compare node_modules/libsql/index.js with scripts/lib/libsql-plugin.ts after an upgrade of libsql",
  );
  process.exit(1);
}
// The map is inside the executable; Bun leaves a copy beside it.
rmSync(`${outfile}.map`, { force: true });
console.log(`${outfile} (${values.target}, ${(statSync(outfile).size / 2 ** 20).toFixed(0)} MiB)`);
