/**
 * `./scripts/engines`: installs SQLite libraries of Node (scripts/lib/engines.ts) into .bun/engines, and prints what is
 * installed then.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runCommand } from "./lib/command.ts";
import { engineNames, enginePackage, enginesFolder, findEngine } from "./lib/engines.ts";

mkdirSync(enginesFolder, { recursive: true });
writeFileSync(join(enginesFolder, "package.json"), '{ "private": true }\n');
const env = headersOfNode();
for (const name of engineNames) {
  if (findEngine(name) === undefined) {
    const { code, output } = await runCommand(
      ["npm", "install", "--no-audit", "--no-fund", "--save", enginePackage(name)],
      { cwd: enginesFolder, show: false, env },
    );
    if (code !== 0) console.error(output.trimEnd().split("\n").slice(-5).join("\n"));
  }
  console.log(`${name}: ${findEngine(name) ?? "could not be installed"}`);
}
process.exitCode = engineNames.every((name) => findEngine(name) !== undefined) ? 0 : 1;

/**
 * The headers of the Node on the PATH, where it came with them: compiling would fetch them from nodejs.org otherwise,
 * which not every machine reaches.
 */
function headersOfNode(): Record<string, string> {
  const { stdout } = spawnSync("node", ["-p", "process.execPath"], { encoding: "utf8" });
  const prefix = dirname(dirname(stdout?.trim() ?? ""));
  return existsSync(join(prefix, "include/node/node.h")) ? { npm_config_nodedir: prefix } : {};
}
