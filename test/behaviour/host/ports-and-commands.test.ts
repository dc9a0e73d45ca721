/** The fixed port and the stop command, with real processes. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
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
