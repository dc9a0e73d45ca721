/**
 * `./scripts/runtimes`: installs Node and Deno (scripts/lib/runtimes.ts) into .bun/runtimes, and prints what is
 * installed then.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "./lib/command.ts";
import { findRuntime, runtimePackages, runtimesFolder } from "./lib/runtimes.ts";

mkdirSync(runtimesFolder, { recursive: true });
writeFileSync(join(runtimesFolder, "package.json"), '{ "private": true }\n');
const { code, output } = await runCommand([process.execPath, "add", "--ignore-scripts", ...runtimePackages], {
  cwd: runtimesFolder,
  show: false,
});
if (code !== 0) console.error(output.trimEnd());
for (const name of ["node", "deno"] as const) {
  const found = findRuntime(name);
  console.log(found.kind === "found" ? `${name} ${found.version}: ${found.command[0]}` : `${name}: ${found.why}`);
}
process.exitCode = code;
