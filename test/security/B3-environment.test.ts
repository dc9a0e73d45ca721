/**
 * Attack: the application reads the cluster's secret from its own environment (STEAD_SECRET), or reports to the service
 * manager in the name of the host (NOTIFY_SOCKET), or takes descriptors for sockets (LISTEN_FDS).
 *
 * Rule: what the host starts gets a clean environment (src/runtime/clean-environment.ts): the operator's own variables,
 * and those that the documents name.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../src/runtime/free-ports.ts";
import { cleanEnvironment } from "../../src/runtime/clean-environment.ts";
import { misbehaving, supervise } from "../support/host/supervised.ts";

let folder: string;
const before = { ...process.env };
const planted = {
  STEAD_SECRET: "the secret of the cluster",
  STEAD_GATEWAY: "http://127.0.0.1:7700",
  NOTIFY_SOCKET: "/run/systemd/notify",
  LISTEN_FDS: "1",
  LISTEN_PID: "1",
  WATCHDOG_USEC: "1",
  CREDENTIALS_DIRECTORY: "/run/credentials",
  NODE_OPTIONS: "--require=/tmp/x.js",
  BUN_OPTIONS: "--preload=/tmp/x.js",
  KEPT_BY_OPERATOR: "kept",
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-environment-"));
  Object.assign(process.env, planted);
});
afterEach(() => {
  for (const name of Object.keys(planted)) delete process.env[name];
  Object.assign(process.env, before);
  rmSync(folder, { recursive: true, force: true });
});

test("neither the application nor its stop command has what is the host's alone", async () => {
  const write = (to: string): string[] => ["sh", "-c", `env > "$STEAD_DATA/${to}"`];
  const { supervisor } = supervise(misbehaving, folder, {
    stopCommand: write("stop"),
    env: { STEAD_CHOSEN: "by the operator" },
  });
  await supervisor.start(await freePort("applications"));
  await supervisor.stop();
  const seen = readFileSync(join(folder, "stop"), "utf8");
  for (const name of Object.keys(planted))
    expect([name, seen.includes(`${name}=`)]).toEqual([name, name.startsWith("KEPT")]);
  for (const name of ["PORT", "STEAD_DATA", "DATA_DIR", "STEAD_MARK", "PATH", "STEAD_CHOSEN"])
    expect(seen).toContain(`${name}=`);
});

test("nothing of stead, of another runtime or of the service manager is left, and the rest is", () => {
  const names = Object.keys(
    cleanEnvironment({ ...planted, PATH: "/bin", HOME: "/root", LANG: "C", MY_BUN_IS: "warm" }),
  );
  expect(names.toSorted()).toEqual(["HOME", "KEPT_BY_OPERATOR", "LANG", "MY_BUN_IS", "PATH"]);
});
