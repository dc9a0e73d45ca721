import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import { listenersOf, parseListeners } from "../../../src/host/application/process-table.ts";
import { becomesReady, lookAt, loopbacks, type ReadinessOptions } from "../../../src/host/application/readiness.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";

const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

/** An application at one address, and the paths that it was asked for. */
async function serve(host: string, port: number, status = 200): Promise<string[]> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(status).end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen({ host, port }, resolve));
  return asked;
}

const never = new AbortController().signal;

function wait(
  port: number,
  changes: Partial<ReadinessOptions> = {},
): { end: ReturnType<typeof becomesReady>; warnings: string[] } {
  const warnings: string[] = [];
  const options = {
    port,
    path: "/",
    timeoutMs: 20_000,
    addresses: loopbacks,
    clock: systemClock,
    listening: () => undefined,
    onWarning: (text: string) => warnings.push(text),
  };
  return { end: becomesReady({ ...options, ...changes }, never), warnings };
}

describe("readiness", () => {
  test.each(loopbacks)("finds an application that listens at %s only", async (address) => {
    const port = await freePort();
    await serve(address, port);
    expect(await wait(port).end).toEqual({ kind: "ready", address });
    expect(await wait(port, { path: undefined }).end).toEqual({ kind: "ready", address });
  });

  test("asks an application that listens at both addresses once", async () => {
    const port = await freePort();
    const asked = await serve("::", port);
    expect(await wait(port).end).toEqual({ kind: "ready", address: "127.0.0.1" });
    expect(asked).toEqual(["/"]);
  });

  test("says which addresses were asked, what they said, and where the application listens instead", async () => {
    const port = await freePort();
    const end = await wait(port, { timeoutMs: 50, listening: () => ["[::1]:3000"] }).end;
    expect(end).toMatchObject({ kind: "timeout" });
    const { reason } = end as { reason: string };
    expect(reason).toContain(`GET / at 127.0.0.1:${port} or [::1]:${port}`);
    expect(reason).toContain(`127.0.0.1:${port} refused the connection, [::1]:${port} refused the connection`);
    expect(reason).toContain(`it listens on [::1]:3000, not on PORT ${port}`);
  });

  test("says what an application answers that is not ready", async () => {
    const port = await freePort();
    await serve("127.0.0.1", port, 503);
    const end = await wait(port, { timeoutMs: 50, listening: () => [`127.0.0.1:${port}`] }).end;
    expect(end).toMatchObject({ kind: "timeout" });
    expect((end as { reason: string }).reason).toEndWith(`found: 127.0.0.1:${port} answered 503`);
  });

  test.each([
    [200, "well"],
    [399, "well"],
    [400, "bad"],
  ] as const)("an application that answers %d is %s", async (status, kind) => {
    const port = await freePort();
    await serve("127.0.0.1", port, status);
    expect((await lookAt("127.0.0.1", port, "/", never)).kind).toBe(kind);
  });

  test("of an application that does not answer a look ends after its time", async () => {
    const port = await freePort();
    const server = createServer(() => undefined);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port }, resolve));
    expect(await lookAt("127.0.0.1", port, "/", never, 50)).toEqual({
      ...{ kind: "bad", what: "did not answer within 50 ms" },
    });
    server.closeAllConnections();
  });

  test("says so when the application listens nowhere", async () => {
    const end = await wait(await freePort(), { timeoutMs: 50, listening: () => [] }).end;
    expect((end as { reason: string }).reason).toEndWith("it listens on no port");
  });

  test("warns long before the time is over, and once, of an application that listens elsewhere", async () => {
    const port = await freePort();
    let nowMs = 0;
    const clock = {
      ...systemClock,
      now: () => nowMs,
      sleep: () => Promise.resolve((nowMs += 500)).then(() => undefined),
    };
    const { end, warnings } = wait(port, { clock, timeoutMs: 30_000, listening: () => ["*:3000"] });
    expect((await end).kind).toBe("timeout");
    expect(warnings.length).toBe(1);
    expect(warnings[0]).toStartWith(
      `the application is not ready after 3000 ms: it listens on *:3000, not on PORT ${port}`,
    );
  });
});

describe("the table of sockets", () => {
  test("reads addresses of both families as they are written", () => {
    const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    const row = (local: string, state: string, inode: string): string =>
      `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 x\n`;
    const table =
      head +
      row("0100007F:1F90", "0A", "11") +
      row("00000000:0050", "0A", "12") +
      row("0100007F:1F91", "01", "13") +
      row("00000000000000000000000001000000:0BB8", "0A", "14") +
      row("B80D0120000000000000000001000000:0BB9", "0A", "15");
    expect(parseListeners(table)).toEqual([
      { address: "127.0.0.1:8080", port: 8080, inode: "11" },
      { address: "*:80", port: 80, inode: "12" },
      { address: "[::1]:3000", port: 3000, inode: "14" },
      { address: "[2001:db8:0:0:0:0:0:1]:3001", port: 3001, inode: "15" },
    ]);
  });

  test.skipIf(process.platform !== "linux")("knows whose a listening socket is", async () => {
    const port = await freePort();
    await serve("::1", port);
    expect(listenersOf([process.pid]).map(({ address }) => address)).toContain(`[::1]:${port}`);
    expect(listenersOf([process.ppid]).map(({ address }) => address)).not.toContain(`[::1]:${port}`);
  });
});
