/** The fixed port, the stop command, and the first process of a container, with real processes. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { misbehaving, supervise } from "../../support/host/supervised.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-ports-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a fixed port that is taken is named with its owner", async () => {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port }, resolve));
  const { supervisor } = supervise(misbehaving, folder, { port });
  const problem = await supervisor.start(port).catch((error: Error) => error.message);
  server.close();
  expect(problem).toContain(`its port ${port} (\`port\` in [host.application]) is taken by`);
  if (process.platform === "linux") expect(problem).toContain(`process ${process.pid} (`);
});

test.each(["stop", "kill"] as const)("the stop command runs at a %s, with the application's port", async (end) => {
  const { supervisor } = supervise(misbehaving, folder, {
    stopCommand: ["sh", "-c", 'echo "$PORT" > "$STEAD_DATA/stopped"'],
  });
  const port = await freePort();
  await supervisor.start(port);
  await supervisor[end]();
  expect(readFileSync(join(folder, "stopped"), "utf8")).toBe(`${port}\n`);
});

test("a stop command that fails or hangs is said, and does not hold anything up", async () => {
  const failing = supervise(misbehaving, folder, { stopCommand: ["sh", "-c", "exit 5"] });
  await failing.supervisor.start(await freePort());
  await failing.supervisor.kill();
  expect(failing.warnings.join()).toContain('the stop command "sh -c exit 5" ended with exit code 5');
  const hanging = supervise(misbehaving, folder, { stopCommand: ["sleep", "1000"], stopTimeoutMs: 50 });
  await hanging.supervisor.start(await freePort());
  await hanging.supervisor.kill();
  expect(hanging.warnings.join()).toContain("did not end within 50 ms and is killed");
});

// Needs a PID namespace of its own, which only root may make: elsewhere it is left out.
test.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
  "as process 1 it clears away the orphans of others, and still hears of its own children",
  async () => {
    const program = `import { spawn } from "node:child_process";
    import { readdirSync, readFileSync, writeFileSync } from "node:fs";
    import { reapOrphans } from "${join(import.meta.dir, "../../../src/host/application/orphans.ts")}";
    await reapOrphans((text) => { throw new Error(text); });
    const own = (code) => new Promise((resolve) => spawn("sh", ["-c", "exit " + code], { stdio: "ignore" }).once("exit", resolve));
    // Twenty that outlive their parent, so that they become children of process 1.
    await new Promise((resolve) => spawn("sh", ["-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (sleep 0.2 & ); done"], { stdio: "ignore" }).once("exit", resolve));
    const children = () => readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name) && name !== "1").length;
    const most = children();
    const codes = [];
    while (children() > 0) { codes.push(await own(7)); await new Promise((resolve) => setTimeout(resolve, 50)); }
    writeFileSync("${folder}/result", JSON.stringify({ pid: process.pid, most, codes: [...new Set(codes)] }));`;
    const child = spawn("unshare", ["--pid", "--fork", "--mount-proc", process.execPath, "-e", program], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    await new Promise((resolve) => child.once("exit", resolve));
    expect(existsSync(join(folder, "result"))).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, "result"), "utf8"))).toEqual({
      pid: 1,
      most: expect.any(Number),
      codes: [7],
    });
  },
  20_000,
);
