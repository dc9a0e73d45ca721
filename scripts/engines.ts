/** `./scripts/engines`: installs SQLite libraries of Node (scripts/lib/engines.ts) into .bun/engines, and says what is there then. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "./lib/command.ts";
import { engineNames, enginePackage, enginesFolder, findEngine } from "./lib/engines.ts";

mkdirSync(enginesFolder, { recursive: true });
writeFileSync(join(enginesFolder, "package.json"), '{ "private": true }\n');
for (const name of engineNames) {
  if (findEngine(name) === undefined) {
    const { code, output } = await runCommand(["npm", "install", "--no-audit", "--no-fund", "--save", enginePackage(name)], { cwd: enginesFolder, show: false });
    if (code !== 0) console.error(output.trimEnd().split("\n").slice(-5).join("\n"));
  }
  console.log(`${name}: ${findEngine(name) ?? "could not be installed"}`);
}
process.exitCode = engineNames.every((name) => findEngine(name) !== undefined) ? 0 : 1;
