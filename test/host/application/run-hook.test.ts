/** Real small scripts. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runHook } from "../../../src/host/application/run-hook.ts";
import type { HookCall } from "../../../src/host/ports/hook.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-hook-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines: string[] = [];
const log = {
  info: (what: string, fields?: object) => void lines.push(`${what} ${JSON.stringify(fields)}`),
  warn() {},
  error() {},
};

function run(script: string, change: { timeoutMs?: number; signal?: AbortSignal } = {}) {
  const path = join(folder, "hook");
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const call: HookCall = {
    ...{ hook: "on_promote", service: "notes", host: "a", epoch: 7, role: "primary", reason: "" },
    ...{ dataFolder: "/data", signal: change.signal ?? new AbortController().signal },
  };
  const program = { command: ["./hook", "an argument"], cwd: folder, timeoutMs: change.timeoutMs ?? 10_000 };
  return runHook({ ...program, secrets: ["the cluster's secret"] }, call, log);
}

test("it gets its arguments, and who this host is, but no secret of stead", async () => {
  process.env["STEAD_SECRET"] = "the cluster's secret";
  const end = await run(
    'echo "$1: $STEAD_HOOK $STEAD_SERVICE $STEAD_HOST $STEAD_EPOCH $STEAD_ROLE $STEAD_SECRET" > out',
  );
  delete process.env["STEAD_SECRET"];
  expect(end).toEqual({ kind: "ok" });
  expect(readFileSync(join(folder, "out"), "utf8")).toBe("an argument: on_promote notes a 7 primary \n");
});

test("its output is in the log, and the end of it in a failure, without secrets", async () => {
  const end = await run('echo "no address: the cluster\'s secret" >&2; exit 3');
  expect(end).toEqual({ kind: "failed", why: "ended with exit code 3: no address: [secret]" });
  expect(lines.at(-1)).toBe('hook on_promote {"output":"no address: [secret]"}');
});

test("one that does not end in time is killed with all that it started", async () => {
  const end = await run("sleep 1000 & echo $! > child; wait", { timeoutMs: 300 });
  expect(end).toEqual({ kind: "failed", why: "did not end within 300 ms and is killed" });
  const child = Number(readFileSync(join(folder, "child"), "utf8"));
  while (isRunning(child)) await new Promise((resolve) => setTimeout(resolve, 5));
});

test("what it leaves in the background delays nothing", async () => {
  const end = await run("sleep 1000 & echo $! > child");
  expect(end).toEqual({ kind: "ok" });
  process.kill(Number(readFileSync(join(folder, "child"), "utf8")), "SIGKILL");
});

test("one that cannot be started says so, and one whose term is over is ended", async () => {
  const abort = new AbortController();
  const ended = run("sleep 1000", { signal: abort.signal });
  abort.abort();
  expect(await ended).toMatchObject({ kind: "failed", why: "was ended: this host's role changed meanwhile" });
  rmSync(join(folder, "hook"));
  const call = { hook: "on_demote", service: "s", host: "a", epoch: 1, role: "secondary", reason: "" } as const;
  const program = { command: ["./hook"], cwd: folder, timeoutMs: 10_000, secrets: [] };
  const absent = await runHook(program, { ...call, dataFolder: "/", signal: new AbortController().signal }, log);
  expect(absent).toMatchObject({ kind: "failed", why: expect.stringContaining("exit code 127") });
});

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}
