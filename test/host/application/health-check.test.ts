import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:net";
import type { CheckResult } from "../../../src/core/host/liveness.ts";
import { checkHealth } from "../../../src/host/application/health-check.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";

const host = "127.0.0.1";
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Listens, and answers each connection with these bytes; undefined: closes it without an answer. */
async function serve(answer: string | undefined): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => (answer === undefined ? socket.destroy() : socket.end(answer)));
  });
  closing.push(() => server.close());
  return new Promise((resolve) =>
    server.listen(0, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    }),
  );
}

const check = (port: number, path: string | undefined, signal = new AbortController().signal): Promise<CheckResult> =>
  checkHealth({ host, port, path }, signal);

test.each([
  [200, "well"],
  [399, "well"],
  [400, "unwell"],
  [503, "unwell"],
] as const)("an application that answers %d is %s", async (status, kind) => {
  const port = await serve(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);
  const result = await check(port, "/health?token=secret");
  expect(result.kind).toBe(kind);
  if (result.kind === "unwell") expect(result.detail).toBe(`GET /health answered ${status}`);
});

test("without a path an application is healthy that accepts a connection", async () => {
  expect(await check(await serve(undefined), undefined)).toEqual({ kind: "well" });
  expect(await check(await freePort(), undefined)).toMatchObject({ kind: "refused" });
});

test("nothing that listens is refused, a connection without an answer is silence, and other bytes are no health", async () => {
  expect(await check(await freePort(), "/")).toMatchObject({ kind: "refused" });
  expect(await check(await serve(undefined), "/")).toMatchObject({ kind: "silent" });
  expect(await check(await serve("SSH-2.0-x\r\n"), "/")).toMatchObject({ kind: "unwell" });
});

test("an aborted check says nothing about the application", async () => {
  const abort = new AbortController();
  const server = createServer();
  closing.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as { port: number };
  const checked = check(port, "/", abort.signal);
  abort.abort();
  expect(await checked).toEqual({ kind: "unmade", detail: "aborted" });
});
