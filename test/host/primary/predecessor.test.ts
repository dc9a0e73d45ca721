import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ChannelClient } from "../../../src/control/channel/client.ts";
import type { HostRole } from "../../../src/control/host-status.ts";
import { predecessorProbe } from "../../../src/host/primary/predecessor.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { sealedHandler } from "../../support/control/sealed.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function answering(status: number, body: string | undefined, host = "a"): Promise<string> {
  const server = createServer(
    sealedHandler("secret", { role: "host", id: `notes/${host}` }, (_request, response) => {
      if (body !== undefined) response.writeHead(status, { "content-type": "application/json" }).end(body);
    }),
  );
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function statusOf(instance: string, role: HostRole, host = "a"): string {
  const who = {
    version: 1,
    service: "notes",
    host,
    instance,
    role,
    reason: null,
    epoch: 1,
    epochHost: "a",
    position: 3,
    lastRecordAgeMs: 1,
  };
  return JSON.stringify({
    ...who,
    vacated: false,
    dataUrl: "http://127.0.0.1:1",
    controlUrl: "http://127.0.0.1:2",
    priority: 0,
    nofailover: false,
    leaseMs: 1000,
    checkpoint: null,
    setAside: [],
    warnings: [],
  });
}

const probeOf = (ownControlUrl: string) =>
  predecessorProbe({
    ...{
      channel: ChannelClient.ofOperator("secret", systemClock),
      clock: systemClock,
      service: "notes",
      ownControlUrl,
    },
  });
const ask = (url: string, signal = new AbortController().signal) =>
  probeOf("http://127.0.0.1:9").ask({ host: "a", controlUrl: url, instance: "old" }, signal);

describe("a predecessor", () => {
  test("is gone when its control address refuses the connection", async () => {
    const url = await answering(200, "");
    await new Promise((resolve) => servers.pop()?.close(resolve));
    expect(await ask(url)).toEqual({ kind: "gone" });
  });

  test("is gone when another run of the host answers there", async () => {
    expect(await ask(await answering(200, statusOf("new", "primary")))).toEqual({ kind: "gone" });
  });

  test("may be alive when its address leads to another host: a copied configuration says nothing about it", async () => {
    for (const role of ["secondary", "primary"] as const)
      expect(await ask(await answering(200, statusOf("new", role, "b"), "b"))).toEqual({ kind: "unknown" });
  });

  test("may be alive when it names an address of its own machine only, and this host is on another", async () => {
    const url = await answering(200, "");
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const elsewhere = probeOf("http://10.0.0.2:7001");
    const { port } = new URL(url);
    for (const host of ["127.0.0.1", "localhost", "[::1]"]) {
      const controlUrl = `http://${host}:${port}`;
      expect(await elsewhere.ask({ host: "a", controlUrl, instance: "old" }, new AbortController().signal)).toEqual({
        kind: "unknown",
      });
    }
  });

  test("stepped down when it says so itself", async () => {
    for (const role of ["restoring", "secondary", "failed"] as const)
      expect(await ask(await answering(200, statusOf("old", role)))).toEqual({ kind: "stepped-down" });
  });

  test("may be alive in every other role", async () => {
    for (const role of ["claiming", "starting", "primary", "draining"] as const)
      expect(await ask(await answering(200, statusOf("old", role)))).toEqual({ kind: "unknown" });
  });

  test("may be alive when what answers is not a host's status", async () => {
    for (const [status, body] of [
      [401, '{"error":"not authenticated"}'],
      [200, "null"],
      [200, "<html>"],
      [500, ""],
    ] as const) {
      expect(await ask(await answering(status, body))).toEqual({ kind: "unknown" });
    }
  });

  test("may be alive when it does not answer in time, or no caller waits any more", async () => {
    const silent = await answering(200, undefined);
    expect(await ask(silent)).toEqual({ kind: "unknown" });
    const stop = new AbortController();
    const asked = ask(silent, stop.signal);
    stop.abort(new Error("the stage is over"));
    expect(await asked).toEqual({ kind: "unknown" });
  });
});
