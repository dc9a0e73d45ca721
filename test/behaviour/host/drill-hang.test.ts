/** What a drill of the kind `hang` does: the application's processes stand still under SIGSTOP, and continue. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { descendantsOf } from "../../../harness/process-table.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { misbehaving, supervise } from "../../support/host/supervised.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-freeze-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const frozenMs = 54_321;
/** The state of a process (proc(5)): `T` is stopped by a signal. */
const isStopped = (pid: number): boolean => /\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
const settled = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await systemClock.sleep(5);
};

test("a frozen application, with its children, stands still until its time is over, and this process does not", async () => {
  let thaw = (): void => undefined;
  const clock: Clock = {
    now: () => systemClock.now(),
    wallTime: () => systemClock.wallTime(),
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    setTimer: (ms, callback) => {
      if (ms !== frozenMs) return systemClock.setTimer(ms, callback);
      thaw = callback;
      return { cancel: () => undefined };
    },
  };
  const patient = { path: "/health", intervalMs: 1_000, timeoutMs: 10_000, patienceMs: 60_000 } as const;
  const child = `require("child_process").spawn("sleep", ["60"]);`;
  const { supervisor } = supervise(child + misbehaving, folder, { health: patient }, { clock });
  expect(supervisor.freeze(frozenMs)).toBe(false);
  try {
    const port = await freePort("applications");
    await supervisor.start(port);
    const pid = Number(await (await fetch(`http://127.0.0.1:${port}/`)).text());
    const processes = [pid, ...descendantsOf(pid).map((child) => child.pid)];
    expect(processes.length).toBe(2);
    expect(processes.some(isStopped)).toBe(false);
    expect(supervisor.freeze(frozenMs)).toBe(true);
    await settled(() => processes.every(isStopped));
    thaw();
    await settled(() => !processes.some(isStopped));
    expect(Number(await (await fetch(`http://127.0.0.1:${port}/`)).text())).toBe(pid);
  } finally {
    await supervisor.kill();
  }
});
