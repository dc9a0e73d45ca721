import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { CutOffError, GatewayCaller } from "../../harness/gateway-caller.ts";

/** Answers every request, or cuts the connection as soon as one arrives. */
class RawGateway {
  requests = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(answers: "well" | "cuts") {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("data", () => {
        this.requests += 1;
        if (answers === "cuts") socket.resetAndDestroy();
        else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe("a client of several gateways", () => {
  const closing: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const one of closing.splice(0)) await one.close();
  });

  function callerOf(...urls: [string, ...string[]]): GatewayCaller {
    const caller = new GatewayCaller(urls, 2, 10_000);
    closing.unshift(caller);
    return caller;
  }

  async function gateway(answers: "well" | "cuts"): Promise<{ url: string; raw: RawGateway }> {
    const raw = new RawGateway(answers);
    closing.push(raw);
    return { url: await raw.listen(), raw };
  }

  async function gone(): Promise<string> {
    const raw = new RawGateway("well");
    const url = await raw.listen();
    await raw.close();
    return url;
  }

  test("spread over them by their number", async () => {
    const [a, b] = [await gateway("well"), await gateway("well")];
    const caller = callerOf(a.url, b.url);
    for (const client of [0, 1, 2, 3, 4]) await caller.call(client, "GET", "/", undefined);
    expect([a.raw.requests, b.raw.requests]).toEqual([3, 2]);
  });

  test("sends reads and writes to the next one when its own refuses connections", async () => {
    const well = await gateway("well");
    const caller = callerOf(await gone(), well.url);
    for (const method of ["GET", "PUT", "POST"])
      expect((await caller.call(0, method, "/", undefined)).status).toBe(200);
    expect(well.raw.requests).toBe(3);
  });

  test("sends a read again that was cut off, and never a write", async () => {
    const [cuts, well] = [await gateway("cuts"), await gateway("well")];
    const caller = callerOf(cuts.url, well.url);
    expect((await caller.call(0, "GET", "/", undefined)).status).toBe(200);
    for (const method of ["POST", "PUT"]) {
      const failure = await caller.call(0, method, "/", "{}").catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(CutOffError);
    }
    expect(cuts.raw.requests).toBe(3);
    expect(well.raw.requests).toBe(1);
  });

  test("fails when every gateway is gone", async () => {
    const failure = await callerOf(await gone(), await gone())
      .call(0, "GET", "/", undefined)
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(failure).not.toBeInstanceOf(CutOffError);
  });

  test("with a single gateway hides nothing: a write that is cut off fails", async () => {
    const cuts = await gateway("cuts");
    const failure = await callerOf(cuts.url)
      .call(0, "POST", "/", "{}")
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(failure).not.toBeInstanceOf(CutOffError);
    expect(cuts.raw.requests).toBe(1);
  });
});
