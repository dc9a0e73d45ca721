/**
 * `bun run proof:power`: power failures of the vault under load. The vault and the hosts' folders are on disks that
 * lose what was not flushed (proof-power/lossy-disks.c: which states they leave, and why those are possible), below a
 * real ext4 or xfs. `--times N` failures (20), `--log segments|objects` (segments), `--fs ext4|xfs` (ext4),
 * `--app notes|ledger` (notes), `--seed N` (drawn), `--per-cluster N` failures before the next cluster begins on new
 * disks (20), `--break sync`: hosts run a copy of the sources in which a commit is not synced
 * (proof-power/broken-copy.ts), and the run is good when acknowledged writes are missing; `--json`.
 *
 * The seed fixes when power fails and what is left of the disks' caches; processes are real, so a run is not repeated
 * exactly. Needs root on Linux, /dev/fuse, loop devices and gcc. Without them it says what is missing and exits with 1.
 *
 * The last line with --json:
 * {"power":1,"good":B,"log","fs","app","seed":N,"break":null|"sync","failures":N,"takeovers":N,"acknowledged":N,
 * "missing":N,"writes":{"atRisk":N,"present":N,"absent":N,"torn":N},"seconds":N,"violations":[…]}. `takeovers`: further
 * failures, while the next primary took over; `missing`: acknowledged writes that clients do not find afterwards, and
 * all of a cluster that does not serve again (hosts refuse a vault that lacks what they have heard of); `writes`: those
 * that no flush had covered. Exit code 0 when the run is good.
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoApplicationNames } from "../harness/applications.ts";
import { selfCommand } from "../src/runtime/self-command.ts";
import { copyWithoutSync } from "./proof-power/broken-copy.ts";
import { fileSystems, missingForLossyDisks } from "./proof-power/lossy-disks.ts";
import { runPower } from "./proof-power/power-run.ts";
import { oneOf, orEnd, readOptions, wholeNumber } from "./lib/options.ts";

const values = readOptions({
  times: { type: "string", default: "20" },
  "per-cluster": { type: "string", default: "20" },
  log: { type: "string", default: "segments" },
  fs: { type: "string", default: "ext4" },
  app: { type: "string", default: "notes" },
  seed: { type: "string", default: String(randomInt(1, 1_000_000)) },
  break: { type: "string" },
  json: { type: "boolean", default: false },
});

const settings = orEnd(() => ({
  log: oneOf("log", values.log, ["segments", "objects"]),
  fs: oneOf("fs", values.fs, fileSystems),
  app: oneOf("app", values.app, demoApplicationNames),
  seed: wholeNumber("seed", values.seed, 0),
}));
const broken = values.break === undefined ? undefined : orEnd(() => oneOf("break", values.break ?? "", ["sync"]));
const times = orEnd(() => wholeNumber("times", values.times, 1));
const perCluster = orEnd(() => wholeNumber("per-cluster", values["per-cluster"], 1));
const servedWithinMs = broken === undefined ? 60_000 : 20_000;
const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);

const missing = missingForLossyDisks(settings.fs);
if (missing === undefined) await prove();
else {
  say(`proof:power: this machine lacks ${missing}`);
  process.exitCode = 1;
}

async function prove(): Promise<void> {
  const startedAt = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "stead-power-"));
  // Disks and processes end with this process, however it ends; then the folder can be removed.
  const clean = 'cat >/dev/null; for i in 1 2 3 4 5 6 7 8 9; do rm -rf --one-file-system "$1" && exit; sleep 1; done';
  spawn("sh", ["-c", clean, "sh", folder], { detached: true, stdio: ["pipe", "ignore", "ignore"] }).unref();
  say(`proof:power: ${JSON.stringify({ ...settings, times })}`);
  const {
    failures,
    takeovers,
    acknowledged,
    missing: lost,
    violations,
    writes,
  } = await runPower({
    ...settings,
    fileSystem: settings.fs,
    times,
    timesPerCluster: perCluster,
    folder,
    program: broken === undefined ? selfCommand() : copyWithoutSync(join(folder, "copy")),
    servedWithinMs,
    say,
  });
  const isGood = broken === undefined ? violations.length === 0 && acknowledged > 0 : lost > 0;
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  say(
    `${isGood ? "good" : "NOT GOOD"}: ${failures} power failures under load and ${takeovers} during takeovers in ${seconds} s: ` +
      `${acknowledged} acknowledged, ${lost} missing, ${violations.length} violations`,
  );
  say(
    `  ${writes.atRisk} writes that no flush had covered: ${writes.present} present, ${writes.absent} absent, ${writes.torn} torn`,
  );
  const counts = { failures, takeovers, acknowledged, missing: lost, writes, seconds };
  const line = { power: 1, good: isGood, ...settings, break: broken ?? null, ...counts, violations };
  if (values.json) process.stdout.write(`${JSON.stringify(line)}\n`);
  process.exitCode = isGood ? 0 : 1;
}
