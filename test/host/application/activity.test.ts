import { afterEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { ActivityMeter, describeActivity } from "../../../src/host/application/activity.ts";
import { until } from "../../support/host/log-fixture.ts";

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
});

/** A group of one process. */
async function start(program: string): Promise<{ readonly child: ChildProcess; readonly leader: number }> {
  const child = spawn(process.execPath, ["-e", program], { detached: true, stdio: "ignore" });
  children.push(child);
  await once(child, "spawn");
  if (child.pid === undefined) throw new Error("it was not started");
  return { child, leader: child.pid };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

test.if(existsSync("/proc/self/stat"))(
  "an application of one process has a CPU time, and runs while it computes",
  async () => {
    const { child, leader } = await start("for (;;);");
    const meter = new ActivityMeter(leader);
    await until(() => (meter.read().cpuMs ?? 0) >= 50);
    await until(() => meter.read().isRunnable);
    expect(describeActivity(leader)).toEqual([expect.stringMatching(new RegExp(`^${leader} \\(.*\\), CPU \\d`))]);
    await kill(child);
    expect(meter.read()).toEqual({ cpuMs: undefined, isRunnable: false });
    expect(describeActivity(leader)).toEqual(["none of its processes can be seen"]);
  },
);

test.if(existsSync("/proc/self/stat"))("an application that waits does not run", async () => {
  const { leader } = await start("setInterval(() => undefined, 1_000_000);");
  const meter = new ActivityMeter(leader);
  await until(() => {
    const { cpuMs, isRunnable } = meter.read();
    return cpuMs !== undefined && !isRunnable;
  });
});
