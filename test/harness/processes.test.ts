import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { freePorts } from "../../src/runtime/free-ports.ts";
import { descendantsOf, isStopped, livingOf } from "../../harness/process-table.ts";
import { killGroup } from "../../harness/reaper.ts";
import { systemClock } from "../../src/runtime/clock.ts";

// Generous: these tests wait for conditions, and the machine may be busy.
setDefaultTimeout(60_000);

const started: ChildProcess[] = [];
afterEach(() => {
  for (const { pid } of started.splice(0)) if (pid !== undefined) killGroup(pid);
});

function startShell(script: string): number {
  const child = spawn("/bin/sh", ["-c", script], { detached: true, stdio: "ignore" });
  started.push(child);
  if (child.pid === undefined) throw new Error("no shell");
  return child.pid;
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await systemClock.sleep(5);
};

test("children and their children are found, and seen to be gone", async () => {
  const pid = startShell("sh -c 'sleep 60; true' & wait");
  await until(() => descendantsOf(pid).length === 2);
  const family = descendantsOf(pid);
  expect(livingOf(family).length).toBe(2);
  killGroup(pid);
  await until(() => livingOf(family).length === 0);
});

test("another process with the same number is not taken for the one that is gone", () => {
  expect(livingOf([{ pid: process.pid, born: "another time" }])).toEqual([]);
});

test("a stopped process is seen to be stopped, and to run again", async () => {
  // One process only: a shell that is caught between vfork() and its child's exec() waits uninterruptibly for the
  // stopped child.
  const pid = startShell("exec sleep 60");
  killGroup(pid, "SIGSTOP");
  await until(() => isStopped(pid));
  killGroup(pid, "SIGCONT");
  await until(() => !isStopped(pid));
});

test("a group number that would reach this process's own group or all processes is never signalled", () => {
  for (const group of [-1, 0, 1, Number.NaN]) expect(() => killGroup(group)).toThrow("no process group");
});

test("free ports are distinct and below the ephemeral range", async () => {
  const ports = await freePorts(8);
  expect(new Set(ports).size).toBe(8);
  for (const port of ports) expect(port).toBeLessThan(32_768);
});
