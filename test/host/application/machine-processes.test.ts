import { afterEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { MachineProcesses } from "../../../src/host/application/machine-processes.ts";
import { processRow } from "../../../src/host/application/process-table.ts";

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

const processes = new MachineProcesses({
  ...{ mark: "a mark", dataFolder: tmpdir(), cgroup: undefined, databases: () => Promise.resolve([]) },
});

async function sleeper(): Promise<{ child: ChildProcess; pid: number; born: string }> {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  children.push(child);
  await once(child, "spawn");
  const pid = child.pid ?? 0;
  return { child, pid, born: processRow(pid)?.born ?? "" };
}

test.if(process.platform === "linux")(
  "a signal reaches the process that was meant, and no later one of its number",
  async () => {
    const { child, pid, born } = await sleeper();
    processes.signal({ pid, born: "another", group: pid }, "SIGTERM");
    processes.signal({ pid, born, group: pid }, "SIGINT");
    expect(await once(child, "exit")).toEqual([null, "SIGINT"]);
    // It has ended.
    processes.signal({ pid, born, group: pid }, "SIGTERM");
  },
);

test.if(process.platform === "linux")("a signal that does not exist is an error", async () => {
  const { pid, born } = await sleeper();
  expect(() => processes.signal({ pid, born, group: pid }, "SIGNONE" as never)).toThrow();
});
