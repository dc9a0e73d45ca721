import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProcessKeeper } from "../../harness/processes.ts";
import { descendantsOf, livingOf } from "../../harness/process-table.ts";
import { killGroup } from "../../harness/reaper.ts";
import { selfCommand } from "../../src/runtime/self-command.ts";
import { systemClock } from "../../src/runtime/clock.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

const started: ChildProcess[] = [];
const folders: string[] = [];
afterEach(() => {
  for (const { pid } of started.splice(0)) if (pid !== undefined) killGroup(pid);
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "stead-reaper-test-"));
  folders.push(folder);
  writeFileSync(join(folder, "file"), "x");
  return folder;
}

function start(command: readonly [string, ...string[]]): ChildProcess {
  const [program, ...args] = command;
  const child = spawn(program, args, { detached: true, stdio: ["pipe", "ignore", "inherit"] });
  started.push(child);
  return child;
}

const ended = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once("exit", resolve));
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await systemClock.sleep(5);
};

test("when its pipe ends, the reaper kills every group still named and removes the folder", async () => {
  const folder = makeFolder();
  const doomed = start(["sh", "-c", "sleep 60 & wait"]);
  const spared = start(["sleep", "60"]);
  await until(() => descendantsOf(doomed.pid ?? 0).length === 1);
  const family = descendantsOf(doomed.pid ?? 0);
  const doomedEnded = ended(doomed);
  const reaper = start([...selfCommand(), "demo-app", "reaper"]);
  const reaperEnded = ended(reaper);
  reaper.stdin?.end(`folder ${folder}\n+${doomed.pid}\n+${spared.pid}\n-${spared.pid}\n`);
  await Promise.all([doomedEnded, reaperEnded]);
  await until(() => livingOf(family).length === 0);
  expect(existsSync(folder)).toBe(false);
  expect(spared.exitCode).toBe(null);
  expect(spared.signalCode).toBe(null);
});

test("the reaper leaves a folder that is to be kept", async () => {
  const folder = makeFolder();
  const doomed = start(["sleep", "60"]);
  const doomedEnded = ended(doomed);
  const reaper = start([...selfCommand(), "demo-app", "reaper"]);
  const reaperEnded = ended(reaper);
  reaper.stdin?.write(`folder ${folder}\n+${doomed.pid}\nkeep\n`);
  reaper.stdin?.end();
  await Promise.all([doomedEnded, reaperEnded]);
  expect(doomed.signalCode).toBe("SIGKILL");
  expect(existsSync(folder)).toBe(true);
});

test("a keeper ends what it started, also what does not stop when asked", async () => {
  const folder = makeFolder();
  const keeper = new ProcessKeeper(folder);
  const stubborn = await keeper.start(
    ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
    folder,
    join(folder, "log"),
  );
  await until(() => readFileSync(join(folder, "log"), "utf8") === "ready\n");
  const obedient = await keeper.start(["sleep", "60"], folder, join(folder, "log"));
  await keeper.close(200);
  expect(obedient.end).toEqual({ code: null, signal: "SIGTERM" });
  expect(stubborn.end).toEqual({ code: null, signal: "SIGKILL" });
  expect(existsSync(folder)).toBe(false);
});

test("a program that does not exist is refused at once", async () => {
  const folder = makeFolder();
  const keeper = new ProcessKeeper(folder);
  const refused = await keeper
    .start([join(folder, "no-such-program")], folder, join(folder, "log"))
    .catch((error: unknown) => error);
  expect(String(refused)).toContain("ENOENT");
  await keeper.close(200);
});
