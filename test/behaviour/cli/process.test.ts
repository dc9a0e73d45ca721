/** The program as a process of its own: signals, ports in use, a pipe whose reader goes away. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const main = join(import.meta.dirname, "../../../src/main.ts");
let folder = "";
let children: ChildProcess[] = [];
let servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-process-"));
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  for (const server of servers) server.close();
  children = [];
  servers = [];
  rmSync(folder, { recursive: true, force: true });
});

const start = (...args: string[]) => startWith({}, ...args);

function startWith(env: Readonly<Record<string, string>>, ...args: string[]) {
  const child = spawn(process.execPath, [main, ...args], {
    cwd: folder,
    env: { ...process.env, STEAD_SECRET: "0123456789abcdef", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let err = "";
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
    for (const { text, resolve } of waiting) if (err.includes(text)) resolve();
  });
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, err }));
  const says = (text: string): Promise<void> =>
    Promise.race([
      new Promise<void>((resolve) => {
        waiting.push({ text, resolve });
        if (err.includes(text)) resolve();
      }),
      ended.then(({ code }) =>
        Promise.reject(new Error(`ended with ${code ?? "a signal"} before it said "${text}":\n${err}`)),
      ),
    ]);
  return { child, ended, says };
}

function gatewayFile(listen: string): string {
  const path = join(folder, "gateway.toml");
  writeFileSync(path, `[gateway]\nid = "g"\nlisten = "${listen}"\nadmin = "127.0.0.1:0"\ndatabase = "g.db"\n`);
  return path;
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`a gateway that gets ${signal} stops cleanly with exit code 0`, async () => {
    const { child, ended, says } = start("gateway", gatewayFile("127.0.0.1:0"));
    await says("serving on 127.0.0.1:");
    child.kill(signal);
    expect((await ended).code).toBe(0);
  }, 30_000);
}

test("a gateway keeps memory that it frees for a second, or as long as its operator says", async () => {
  for (const [env, kept] of [
    [{}, "1000"],
    [{ MIMALLOC_PURGE_DELAY: "5" }, "5"],
  ] as const) {
    const { child, says } = startWith(env, "gateway", gatewayFile("127.0.0.1:0"));
    await says("serving on 127.0.0.1:");
    // Of the process that was started: it has replaced itself, and was not replaced by a child.
    const variables = readFileSync(`/proc/${child.pid ?? 0}/environ`, "utf8").split("\0");
    expect(variables.filter((each) => each.startsWith("MIMALLOC_PURGE_DELAY="))).toEqual([
      `MIMALLOC_PURGE_DELAY=${kept}`,
    ]);
    child.kill("SIGTERM");
  }
}, 30_000);

test("a port in use is exit code 7, with the address and what to do", async () => {
  const server = createServer();
  servers.push(server);
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { code, err } = await start("gateway", gatewayFile(`127.0.0.1:${port}`)).ended;
  expect({ code, err }).toEqual({ code: 7, err: expect.stringContaining(`127.0.0.1:${port}`) });
  expect(err).toContain("\n  do: ");
  expect(err).not.toContain("    at ");
}, 30_000);

test("a reader that goes away in the middle of the output is no error", async () => {
  const { child, ended } = start("--help");
  child.stdout?.destroy();
  expect((await ended).code).toBe(0);
}, 30_000);
