/** `stead demo` as a user types it: its verdict, its exit codes, and that nothing of it stays behind. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exitCodes } from "../../src/cli/output/exit-codes.ts";
import { descendantsOf, livingOf, type ProcessMark } from "../../harness/process-table.ts";
import { selfCommand } from "../../src/runtime/self-command.ts";
import type { VerdictObject } from "../../src/demo/verdict.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { runStead } from "./harness.ts";

setDefaultTimeout(120_000);

for (const app of ["notes", "ledger"] as const) {
  test(`${app}: a kill, a hang and a switchover lose nothing, and the last line of standard output says so`, async () => {
    const args = ["demo", "--json", "--app", app, "--kills", "1", "--duration", "5s", "--seed", "11"];
    const { code, stdout, stderr } = await runStead(args, { withinMs: 100_000 });
    expect([code, stderr]).toEqual([exitCodes.ok, expect.any(String)]);
    const verdict = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as VerdictObject;
    expect(verdict).toMatchObject({
      writes: { missing: 0 },
      zombie_acknowledged: 0,
      invariant_ok: true,
      requests: { failed: 0 },
    });
    expect(verdict.writes.acknowledged).toBeGreaterThan(100);
    expect(verdict.requests.held).toBeGreaterThan(0);
    expect(verdict.failovers.map(({ kind }) => kind).sort()).toEqual(["hang", "kill", "switchover"]);
    for (const one of verdict.failovers) {
      expect(one.gap_ms).toBeGreaterThan(one.start_ms);
      expect(one.start_ms).toBeGreaterThan(0);
    }
  });
}

test("bad flags are refused before anything is started", async () => {
  for (const args of [["--app", "other"], ["--kills", "-1"], ["--duration", "5"], ["--seed", "x"], ["--unknown"]]) {
    const { code, stderr } = await runStead(["demo", ...args]);
    expect([args.join(" "), code]).toEqual([args.join(" "), exitCodes.usage]);
    expect(stderr).toMatch(/^stead: .*\n  do: /s);
  }
});

test("without python3 the ledger is refused, with what to do", async () => {
  const { code, stderr } = await runStead(["demo", "--app", "ledger"], { env: { PATH: "/nonexistent" } });
  expect(code).toBe(exitCodes.resource);
  expect(stderr).toContain("python3");
  expect(stderr).toContain("--app notes");
});

interface RunningDemo {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly family: readonly ProcessMark[];
  readonly folder: string;
}

/** A demo in the middle of its load, with all its processes: gateway, hosts, watcher, application, reaper. */
async function startDemo(): Promise<RunningDemo> {
  const [program, ...leading] = selfCommand();
  const child = spawn(program, [...leading, "demo", "--duration", "60s", "--kills", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  while (!output.includes("the load starts")) await systemClock.sleep(20);
  const folder = /stead-demo-\w+/.exec(output)?.[0] ?? "";
  expect(readdirSync(join(tmpdir(), folder))).toContain("vault");
  const family = descendantsOf(child.pid ?? 0);
  expect(family.length).toBeGreaterThan(6);
  return { child, ended, family, folder: join(tmpdir(), folder) };
}

async function nothingStays({ family, folder }: RunningDemo): Promise<void> {
  while (livingOf(family).length > 0) await systemClock.sleep(20);
  while (existsSync(folder)) await systemClock.sleep(20);
}

test("Ctrl-C ends everything that the demo started, and removes its folder", async () => {
  const demo = await startDemo();
  demo.child.kill("SIGINT");
  expect(await demo.ended).toBe(exitCodes.interrupted);
  await nothingStays(demo);
});

test("a demo that is killed takes everything that it started with it", async () => {
  const demo = await startDemo();
  demo.child.kill("SIGKILL");
  await demo.ended;
  await nothingStays(demo);
});
