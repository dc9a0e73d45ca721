/**
 * `./scripts/release`: executables of all targets, packages, images, checksums and SBOMs (docs/PLATFORMS.md), from this
 * commit. The same commit gives the same bytes on every machine with the same dependencies: times are the commit's,
 * entries are sorted. `--twice` makes everything a second time and compares. The tree must be clean, so that the
 * version names what is inside; `--dirty` is for trying.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { runCommand } from "./lib/command.ts";
import { oneOf, orEnd, readOptions, wholeNumber } from "./lib/options.ts";
import { levels } from "./packaging/compressed.ts";
import { makeRelease, type Source } from "./packaging/release.ts";
import { releaseTargets } from "./packaging/targets.ts";

const root = join(import.meta.dirname, "..");
const names = releaseTargets.map(({ name }) => name);
const values = readOptions({
  out: { type: "string", default: join(root, "dist", "release") },
  targets: { type: "string", default: names.join(",") },
  level: { type: "string", default: String(levels.most) },
  twice: { type: "boolean", default: false },
  dirty: { type: "boolean", default: false },
});

const git = async (...args: readonly string[]): Promise<string> => {
  const { code, output } = await runCommand(["git", ...args], { cwd: root, show: false });
  if (code === 0) return output.trim();
  console.error(`release: git ${args.join(" ")} failed\n  accepted: a clone with its history\n  do: ${output.trim()}`);
  process.exit(1);
};

const chosen = orEnd(() => values.targets.split(",").map((name) => oneOf("targets", name, names)));
const level = orEnd(() => wholeNumber("level", values.level, levels.least, levels.most));
const commit = await git("describe", "--always", "--dirty", "--exclude=*");
if (commit.endsWith("-dirty") && !values.dirty) {
  console.error(
    "release: found files that differ from the commit\n  accepted: a clean tree\n  do: commit or stash them, or try with --dirty",
  );
  process.exit(2);
}
const source: Source = {
  ...{ commit, level, targets: releaseTargets.filter(({ name }) => chosen.includes(name)) },
  timeSeconds: Number(process.env["SOURCE_DATE_EPOCH"] ?? (await git("log", "-1", "--format=%ct"))),
};

const digests = (folder: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(folder)
      .toSorted()
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(folder, name)))
          .digest("hex"),
      ]),
  );

const out = resolve(values.out);
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
try {
  await makeRelease(source, out, (line) => console.log(line));
  if (values.twice) {
    const again = `${out}.again`;
    rmSync(again, { recursive: true, force: true });
    mkdirSync(again);
    await makeRelease(source, again, () => undefined);
    const [first, second] = [digests(out), digests(again)];
    const different = [...new Set([...first.keys(), ...second.keys()])].filter(
      (name) => first.get(name) !== second.get(name),
    );
    rmSync(again, { recursive: true, force: true });
    if (different.length > 0) throw new Error(`not reproducible: ${different.join(", ")}`);
    console.log(`made twice, the same bytes: ${first.size} files`);
  }
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
