/** A short chaos run, as an operator types it. A long one: `bun run chaos --minutes 20`. */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const script = join(import.meta.dirname, "../../scripts/chaos.ts");
const minutes = "0.3";
/** One mix of faults for every change; long runs draw their own. */
const seed = "1";

interface Summary {
  readonly good: boolean;
  readonly runs: readonly {
    readonly writes: { readonly acknowledged: number; readonly missing: number };
    readonly linearizable: boolean;
    readonly wrong: readonly string[];
  }[];
}

async function runChaos(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.stderr += text));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, ...said };
}

test("faults on real processes lose no acknowledged write, and everything that clients saw is linearizable", async () => {
  const logs = mkdtempSync(join(tmpdir(), "stead-chaos-logs-"));
  try {
    const { code, stdout, stderr } = await runChaos([
      "--minutes",
      minutes,
      "--seed",
      seed,
      "--app",
      "both",
      "--json",
      "--logs",
      logs,
    ]);
    if (code !== 0) console.log(`seed ${seed}\n${stderr}\n${allLogs(logs)}`);
    const summary = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Summary;
    expect(summary.runs.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect([code, summary.good]).toEqual([0, true]);
    for (const run of summary.runs) {
      expect(run).toMatchObject({ writes: { missing: 0 }, linearizable: true });
      expect(run.writes.acknowledged).toBeGreaterThan(0);
    }
  } finally {
    rmSync(logs, { recursive: true, force: true });
  }
}, 300_000);

test("arguments that it does not know are refused before anything is started", async () => {
  for (const args of [["--minutes", "x"], ["--app", "other"], ["--faults", "fill-host,fill-sea"], ["--unknown"]])
    expect((await runChaos(args)).code).toBe(2);
});

function allLogs(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".log"))
    .map((name) => `--- ${name}\n${readFileSync(join(folder, name), "utf8").split("\n").slice(-40).join("\n")}`)
    .join("\n");
}
