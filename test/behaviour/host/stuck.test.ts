import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { misbehaving, shortPatience, supervise, type Supervised } from "../../support/host/supervised.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-stuck-"));
const running: Supervised[] = [];
const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map(({ supervisor }) => supervisor.kill()));
  for (const server of servers.splice(0)) server.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(
  ...[application, others]: [Parameters<typeof supervise>[2]?, Parameters<typeof supervise>[3]?]
): Promise<Supervised> {
  const supervised = supervise(misbehaving, folder, application, others);
  running.push(supervised);
  await supervised.supervisor.start(await freePort());
  return supervised;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** undefined: no answer. */
const ask = ({ supervisor }: Supervised, path: string): Promise<string | undefined> =>
  fetch(`http://127.0.0.1:${supervisor.port}${path}`)
    .then((answer) => answer.text())
    .catch(() => undefined);

/** So many checks more have been answered. */
async function moreChecks(supervised: Supervised, count: number): Promise<void> {
  const before = Number(await ask(supervised, "/checks"));
  for (let now = before; now < before + count; now = Number(await ask(supervised, "/checks")))
    await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("an application that hangs", () => {
  test.each([
    ["was stopped by a signal", "/stop", "stopped by a signal (T)"],
    ["is deadlocked", "/deadlock", "sleeping (S)"],
  ])("because it %s is killed with evidence, and started again", async (_, path, evidence) => {
    const requests = { size: 2, traffic: () => 0, oldest: () => [{ method: "POST", path: "/export", ageMs: 12_300 }] };
    const supervised = await run({}, { requests });
    const { supervisor, warnings, states } = supervised;
    const before = await ask(supervised, "/");
    void ask(supervised, path);
    await until(() => warnings.length === 2);
    await supervisor.whenReady();
    const after = await ask(supervised, "/");
    expect(after).toMatch(/^\d+$/);
    expect(after).not.toBe(before);
    expect(warnings[0]).toMatch(
      /^the application is stuck and is killed: no check was answered for 1000 ms, and nothing made progress: no byte of a request or a response, no commit, no CPU time; processes: /,
    );
    expect(warnings[0]).toContain(`${before} (`);
    expect(warnings[0]).toContain(evidence);
    expect(warnings[0]).toContain("open requests: 2, the oldest: POST /export for 12.3 s");
    expect(warnings[0]).not.toContain("stead-watcher");
    expect(warnings[1]).toContain("restart 1 of 3");
    expect(supervisor.status).toMatchObject({ state: "ready", detail: null, restarts: 1 });
    expect(states.filter((state) => state !== "failing")).toEqual([
      "starting",
      "ready",
      "stuck",
      "restarting",
      "ready",
    ]);
  });

  test("again within the window is given up", async () => {
    const supervised = await run();
    void ask(supervised, "/stop");
    await until(() => supervised.warnings.length === 2);
    await supervised.supervisor.whenReady();
    void ask(supervised, "/stop");
    expect(await supervised.gaveUp).toMatch(
      /^the application was stuck: .*, and it was already restarted as stuck within 60000 ms$/,
    );
    expect(supervised.supervisor.status.state).toBe("stopped");
  });

  test("is left alone when patience is off, and is failing", async () => {
    const supervised = await run({ health: { ...shortPatience, timeoutMs: 200, patienceMs: undefined } });
    const pid = await ask(supervised, "/");
    void ask(supervised, "/sleep/1500");
    await until(() => supervised.supervisor.status.state === "failing");
    await until(() => supervised.supervisor.status.state === "ready");
    expect(await ask(supervised, "/")).toBe(pid);
    expect(supervised.warnings).toEqual([]);
  });
});

describe("an application that is busy", () => {
  test("burns CPU for four times its patience and is not cut", async () => {
    const supervised = await run();
    const pid = await ask(supervised, "/");
    expect(await ask(supervised, "/burn/4000")).toBe(pid);
    expect([supervised.warnings, supervised.states.includes("failing")]).toEqual([[], true]);
  });

  test("sleeps for five seconds in its only thread and is not cut by the patience that is the default", async () => {
    const supervised = await run({
      health: { path: "/health", intervalMs: 1_000, timeoutMs: 2_000, patienceMs: 10_000 },
    });
    const pid = await ask(supervised, "/");
    expect(await ask(supervised, "/sleep/5000")).toBe(pid);
    expect(supervised.warnings).toEqual([]);
  });

  test("says 503 for longer than its patience and is not cut: it answers", async () => {
    const supervised = await run();
    await ask(supervised, "/unwell");
    await until(() => supervised.supervisor.status.state === "failing");
    await moreChecks(supervised, 15);
    expect(supervised.supervisor.status).toMatchObject({
      state: "failing",
      detail: "GET /health answered 503",
      restarts: 0,
    });
  });
});

describe("an application that has closed its port", () => {
  test("and lives on is failing at once, and started again", async () => {
    const supervised = await run();
    const before = await ask(supervised, "/close");
    await until(() => supervised.warnings.length === 2);
    await supervised.supervisor.whenReady();
    const after = await ask(supervised, "/");
    expect(after).toMatch(/^\d+$/);
    expect(after).not.toBe(before);
    expect(supervised.warnings[0]).toContain(
      "its port has refused every connection for 1000 ms, and no request is in progress",
    );
    expect(supervised.states).toEqual(["starting", "ready", "failing", "stuck", "restarting", "ready"]);
  });
});

describe("a port that another process has", () => {
  async function occupy(port: number): Promise<void> {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  }

  test("fails the start of an application in a way that may pass: another port may do", async () => {
    const supervised = supervise(misbehaving, folder);
    running.push(supervised);
    const taken = await freePort();
    await occupy(taken);
    const failure = await supervised.supervisor.start(taken).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "ApplicationError", mayPass: true });
    await supervised.supervisor.start(await freePort());
    expect(supervised.supervisor.isReady).toBe(true);
  });

  test("is not the one that an application gets when it is started again", async () => {
    const supervised = await run({ health: { ...shortPatience, patienceMs: undefined } });
    const { port } = supervised.supervisor;
    const pid = await ask(supervised, "/close");
    await until(() => supervised.supervisor.status.state === "failing");
    await occupy(port);
    process.kill(Number(pid), "SIGKILL");
    await until(() => supervised.warnings.length === 1);
    await supervised.supervisor.whenReady();
    expect(supervised.supervisor.port).not.toBe(port);
    expect(await ask(supervised, "/")).toMatch(/^\d+$/);
  });
});
