import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { connect } from "node:net";
import { join } from "node:path";
import { sampleOf } from "../../support/metrics/promtool.ts";
import { scopeOf } from "../../support/host/scope-fixture.ts";
import type { ApplicationConfig } from "../../../src/config/types.ts";
import { allRules } from "../../../src/core/rules.ts";
import { descendantsOf } from "../../../harness/process-table.ts";
import { ApplicationError } from "../../../src/host/application/application-error.ts";
import { Supervisor } from "../../../src/host/application/supervisor.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-supervisor-"));
const running: Supervisor[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((supervisor) => supervisor.kill()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const serving = `const s = require("http").createServer((q, r) => { if (q.url === "/crash") process.exit(3); r.end(String(process.pid)); });
s.listen(Number(process.env.PORT), "127.0.0.1");`;

function supervise(
  script: string,
  changes: Partial<ApplicationConfig> = {},
  clock: Clock = systemClock,
): { supervisor: Supervisor; gaveUp: Promise<string>; warnings: string[]; endings(): Promise<(number | undefined)[]> } {
  const metrics = new PrometheusMetrics(hostMetrics);
  const gaveUp = Promise.withResolvers<string>();
  const warnings: string[] = [];
  const supervisor = new Supervisor({
    application: {
      command: [process.execPath, "-e", script],
      cwd: folder,
      env: {},
      readyPath: "/",
      readyTimeoutMs: 20_000,
      health: { path: "/", intervalMs: 1_000, timeoutMs: 2_000, patienceMs: 10_000 },
      port: undefined,
      stopSignal: "SIGTERM",
      stopCommand: undefined,
      stopTimeoutMs: 20_000,
      restartsMax: 2,
      restartWindowMs: 60_000,
      log: { kind: "prefixed" },
      ...changes,
    },
    dataFolder: folder,
    scope: scopeOf(folder),
    clock,
    rules: allRules,
    metrics,
    requests: { size: 0, traffic: () => 0, oldest: () => [] },
    freePort,
    commits: () => 0,
    onChange: () => undefined,
    onGaveUp: gaveUp.resolve,
    onWarning: (text) => warnings.push(text),
  });
  running.push(supervisor);
  const endings = async (): Promise<(number | undefined)[]> => {
    const text = await metrics.text();
    return ["restarted", "given_up"].map((sequel) =>
      sampleOf(text, `stead_application_endings_total{cause="ended",sequel="${sequel}"}`),
    );
  };
  return { supervisor, gaveUp: gaveUp.promise, warnings, endings };
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
};

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe("the supervisor", () => {
  test("is ready when the application answers, and gives it its port", async () => {
    const { supervisor } = supervise(serving);
    const port = await freePort();
    await supervisor.start(port);
    expect(supervisor.isReady).toBe(true);
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  });

  test("says which exit code an application had that never got ready", async () => {
    const { supervisor } = supervise("process.exit(7)");
    await expect(supervisor.start(await freePort())).rejects.toThrow(/exit code 7 before it was ready/);
  });

  test("says so when the program does not exist", async () => {
    const { supervisor } = supervise("", { command: ["/no/such/program"] });
    await expect(supervisor.start(await freePort())).rejects.toBeInstanceOf(ApplicationError);
  });

  test("gives up on an application that is not ready in time", async () => {
    const { supervisor } = supervise("setInterval(() => {}, 1000)", { readyTimeoutMs: 100 });
    await expect(supervisor.start(await freePort())).rejects.toThrow(/not ready within 100 ms/);
  });

  test("tells of an application that does not listen on PORT where it listens", async () => {
    const flag = join(folder, "listens");
    const elsewhere = `${serving.replace("Number(process.env.PORT)", "0")} s.on("listening", () => require("fs").writeFileSync("${flag}", ""));`;
    // Its time is over as soon as it listens somewhere.
    const clock = { ...systemClock, now: () => (existsSync(flag) ? Number.MAX_SAFE_INTEGER : 0) };
    const { supervisor } = supervise(elsewhere, {}, clock);
    const port = await freePort();
    await expect(supervisor.start(port)).rejects.toThrow(
      new RegExp(`it listens on 127\\.0\\.0\\.1:\\d+, not on PORT ${port}`),
    );
  });

  test("finds an application at the loopback address where it listens", async () => {
    const { supervisor } = supervise(serving.replace("127.0.0.1", "::1"));
    const port = await freePort();
    await supervisor.start(port);
    expect(supervisor.address).toBe("::1");
    expect((await fetch(`http://[::1]:${port}/`)).status).toBe(200);
  });

  test("restarts a crashed application, and holds requests until it is back", async () => {
    const { supervisor, warnings } = supervise(serving);
    const port = await freePort();
    await supervisor.start(port);
    await fetch(`http://127.0.0.1:${port}/crash`).catch(() => undefined);
    await until(() => warnings.length === 1);
    await supervisor.whenReady();
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    expect(warnings[0]).toContain("exit code 3");
  });

  test("sees the application's end as soon as one of its connections ends", async () => {
    const { supervisor } = supervise(serving, { restartsMax: 0 });
    const port = await freePort();
    await supervisor.start(port);
    expect(supervisor.endings.isUnderWay).toBe(false);
    const seen = Promise.withResolvers<boolean>();
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write("GET /crash HTTP/1.1\r\nHost: a\r\n\r\n"));
    socket.once("close", () => seen.resolve(supervisor.endings.isUnderWay));
    socket.on("error", () => undefined).resume();
    expect(await seen.promise).toBe(true);
  });

  test("gives the application up when it crashes more often than allowed", async () => {
    const { supervisor, gaveUp, endings } = supervise(serving, { restartsMax: 1 });
    expect(await endings()).toEqual([0, 0]);
    const port = await freePort();
    await supervisor.start(port);
    await fetch(`http://127.0.0.1:${port}/crash`).catch(() => undefined);
    await until(() => !supervisor.isReady);
    await supervisor.whenReady();
    await fetch(`http://127.0.0.1:${port}/crash`).catch(() => undefined);
    expect(await gaveUp).toContain("restarted 1 times");
    expect(await endings()).toEqual([1, 1]);
  });

  test("counts a restart that fails like a crash, and tries again", async () => {
    const flag = join(folder, "fail-once");
    const script = `const fs = require("fs"); if (fs.existsSync("${flag}")) { fs.rmSync("${flag}"); process.exit(9); } ${serving}`;
    const { supervisor, warnings } = supervise(script);
    const port = await freePort();
    await supervisor.start(port);
    writeFileSync(flag, "");
    await fetch(`http://127.0.0.1:${port}/crash`).catch(() => undefined);
    await until(() => warnings.length === 2);
    await supervisor.whenReady();
    expect((await fetch(`http://127.0.0.1:${supervisor.port}/`)).status).toBe(200);
    expect(warnings[1]).toContain("exit code 9 before it was ready");
  });

  test("does not give up what was killed while it was being restarted", async () => {
    const { supervisor, warnings, gaveUp } = supervise(serving);
    const port = await freePort();
    await supervisor.start(port);
    await fetch(`http://127.0.0.1:${port}/crash`).catch(() => undefined);
    await until(() => warnings.length === 1);
    await supervisor.kill();
    const outcome = await Promise.race([
      gaveUp.then(() => "gave up"),
      new Promise((resolve) => setImmediate(() => resolve("quiet"))),
    ]);
    expect([outcome, warnings.length]).toEqual(["quiet", 1]);
  });

  test("lets the application finish on its stop signal", async () => {
    const { supervisor } = supervise(
      `${serving} process.on("SIGTERM", () => { require("fs").writeFileSync("${folder}/bye", "bye"); process.exit(0); });`,
    );
    await supervisor.start(await freePort());
    await supervisor.stop();
    expect(readFileSync(join(folder, "bye"), "utf8")).toBe("bye");
  });

  test("kills an application that ignores its stop signal, children included", async () => {
    const script = `${serving} process.on("SIGTERM", () => {}); require("child_process").spawn("sleep", ["1000"], { stdio: "ignore" });`;
    const { supervisor, warnings } = supervise(script, { stopTimeoutMs: 50 });
    const port = await freePort();
    await supervisor.start(port);
    const pid = Number(await (await fetch(`http://127.0.0.1:${port}/`)).text());
    await supervisor.stop();
    await until(() => !isAlive(pid));
    expect(warnings.join()).toContain("did not stop within 50 ms");
  });

  test("does not start an application that was stopped before", async () => {
    const { supervisor } = supervise(serving);
    await supervisor.kill();
    await expect(supervisor.start(await freePort())).rejects.toThrow(/stopped before it started/);
  });
});

/** A process that watches a shell and its child, as a host does. */
async function hostOfAShell(): Promise<{ host: Bun.Subprocess; pids: readonly number[] }> {
  const program = `import { Watched } from "${join(import.meta.dir, "../../../src/host/application/watcher.ts")}";
    const watched = new Watched({ command: ["/bin/sh", "-c", "sleep 1000 & echo $$ $!; wait"], cwd: "/", env: process.env, cgroup: undefined });`;
  const host = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "ignore" });
  const reader = host.stdout.getReader();
  let text = "";
  while (!text.includes("\n")) text += new TextDecoder().decode((await reader.read()).value);
  return { host, pids: text.trim().split(" ").map(Number) };
}

describe("the watcher", () => {
  test("kills the application's whole group when the host process is killed", async () => {
    const { host, pids } = await hostOfAShell();
    expect(pids.every(isAlive)).toBe(true);
    host.kill("SIGKILL");
    await until(() => !pids.some(isAlive));
    await host.exited;
    expect(pids.some(isAlive)).toBe(false);
  });

  test.each([0, 1])("leaves nothing behind when the host dies after reader %d of the group was killed", async (nth) => {
    const { host, pids } = await hostOfAShell();
    const family = descendantsOf(host.pid).map(({ pid }) => pid);
    const leader = family.find((pid) => descendantsOf(pid).some((child) => child.pid === pids[0]));
    const readers = family
      .filter((pid) => pid !== leader && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("stead-watcher"))
      .sort((a, b) => a - b);
    expect(readers.length).toBe(2);
    process.kill(readers[nth] as number, "SIGKILL");
    // The first reader watches the host: without it the group ends at once. The second reader watches the first.
    if (nth === 0) await until(() => !pids.some(isAlive));
    else expect(pids.every(isAlive)).toBe(true);
    host.kill("SIGKILL");
    await until(() => !family.some(isAlive));
    expect(pids.some(isAlive)).toBe(false);
  });
});
