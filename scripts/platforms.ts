/**
 * `./scripts/platforms`: takes each executable from the archives of a release, tries it (scripts/packaging/trials.ts),
 * and writes the tables of docs/PLATFORMS.md; what stands below them is kept. Ends with 1 if a trial failed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import packageFile from "../package.json" with { type: "json" };
import { runCommand } from "./lib/command.ts";
import { readOptions } from "./lib/options.ts";
import { runtimeOf } from "./packaging/executable.ts";
import { platformsPage, type Tried } from "./packaging/platforms-page.ts";
import { runnerOf } from "./packaging/runners.ts";
import { releaseTargets, type ReleaseTarget } from "./packaging/targets.ts";
import { type Outcome, type TrialName, trialNames, tryOut } from "./packaging/trials.ts";

const root = join(import.meta.dirname, "..");
const page = join(root, "docs", "PLATFORMS.md");
const values = readOptions({
  from: { type: "string", default: join(root, "dist", "release") },
  out: { type: "string", default: page },
});
const from = resolve(values.from);
const archiveOf = ({ name }: ReleaseTarget): string => join(from, `stead-${packageFile.version}-${name}.tar.zst`);

const absent = releaseTargets.filter((target) => !existsSync(archiveOf(target)));
if (absent.length > 0) {
  console.error(
    `platforms: found no ${absent.map((target) => archiveOf(target)).join(", ")}\n  accepted: the folder of a release\n  do: ./scripts/release --out ${from}`,
  );
  process.exit(2);
}

const work = mkdtempSync(join(tmpdir(), "stead-platforms-"));

async function tryTarget(target: ReleaseTarget): Promise<Tried> {
  const folder = join(work, target.name);
  mkdirSync(folder);
  const archive = readFileSync(archiveOf(target));
  writeFileSync(join(folder, "archive.tar"), zstdDecompressSync(archive));
  const { code, output } = await runCommand(["tar", "-xf", "archive.tar"], { cwd: folder, show: false });
  if (code !== 0) throw new Error(`tar: ${output}`);
  const executable = join(folder, target.executable);
  const bytes = {
    executable: statSync(executable).size,
    runtime: statSync(await runtimeOf(target.build)).size,
    compressed: archive.length,
  };
  const runner = runnerOf(target.build, folder);
  const outcomes: Partial<Record<TrialName, Outcome>> = {};
  for (const name of runner.kind === "here" ? trialNames : []) {
    if (runner.kind !== "here" || (runner.isSlow && name === "cluster")) continue;
    const outcome = await tryOut(name, { runner, executable, folder: join(folder, name.replaceAll(" ", "-")) });
    outcomes[name] = outcome;
    console.log(
      `${target.name}: ${name}: ${outcome.kind === "passed" ? `passed (${outcome.shown})` : `failed: ${outcome.why}`}`,
    );
  }
  if (runner.kind === "nowhere") console.log(`${target.name}: not run: ${runner.why}`);
  rmSync(folder, { recursive: true });
  return { target, runner, bytes, outcomes };
}

/** What people have written below the tables of the page. */
const words = (): string => {
  const text = existsSync(page) ? readFileSync(page, "utf8") : "";
  const at = text.indexOf("\n## ");
  return at < 0 ? "" : text.slice(at + 1);
};

const tried: Tried[] = [];
try {
  for (const target of releaseTargets) tried.push(await tryTarget(target));
} finally {
  rmSync(work, { recursive: true, force: true });
}
const machine = `${process.platform} ${process.arch}, kernel ${release().replace(/-.*/, "")}`;
writeFileSync(resolve(values.out), platformsPage({ version: packageFile.version, machine, tried, words: words() }));
console.log(`wrote ${values.out}`);
process.exitCode = tried.some(({ outcomes }) => Object.values(outcomes).some(({ kind }) => kind === "failed")) ? 1 : 0;
