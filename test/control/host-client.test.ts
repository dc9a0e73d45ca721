import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { HostClient } from "../../src/control/host-client.ts";
import { type HostStatus, untold } from "../../src/control/host-status.ts";
import type { PromoteEvent } from "../../src/control/host-api.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { sealedHandler } from "../support/control/sealed.ts";

const host = { role: "host", id: "notes/a" } as const;
const servers: (Server | TcpServer)[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    if ("closeAllConnections" in server) server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

const status: HostStatus = {
  version: 1,
  service: "notes",
  host: "a",
  instance: "i",
  role: "secondary",
  reason: null,
  epoch: 1,
  epochHost: "a",
  position: 3,
  lastRecordAgeMs: null,
  vaultSilentMs: null,
  clockMs: null,
  handover: null,
  vacated: false,
  dataUrl: "http://127.0.0.1:1",
  controlUrl: "http://127.0.0.1:2",
  priority: 0,
  nofailover: false,
  leaseMs: 1000,
  checkpoint: null,
  setAside: [],
  ...untold,
  warnings: [],
};
const request = { gateway: "g", epoch: 1, gatewaysRegistered: 1, gatewaysSeeingDown: ["g"], planned: false };
type Limits = ConstructorParameters<typeof HostClient>[3];
/** Longer than a busy machine takes. */
const patient: Limits = {
  connectTimeoutMs: 20_000,
  orderTimeoutMs: 20_000,
  checkpointTimeoutMs: 20_000,
  rehearsalTimeoutMs: 20_000,
};
const impatient: Limits = {
  connectTimeoutMs: 100,
  orderTimeoutMs: 150,
  checkpointTimeoutMs: 150,
  rehearsalTimeoutMs: 20_000,
};

async function serve(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  limits = patient,
): Promise<HostClient> {
  const server = createServer(sealedHandler("right", host, answer));
  return new HostClient(await listen(server), "right", systemClock, limits);
}

async function listen(server: Server | TcpServer): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

const lines = (...events: unknown[]): string => events.map((event) => `${JSON.stringify(event)}\n`).join("");

describe("asking a host for its status", () => {
  test("gives the status, and ignores what a newer host adds to it", async () => {
    const client = await serve((_, response) => response.end(JSON.stringify({ ...status, added: "later" })));
    expect(await client.status(20_000)).toEqual({ kind: "ok", value: status });
  });

  test("tells it which records all hosts read, when the caller says so", async () => {
    const told: unknown[] = [];
    const client = await serve((request, response) => {
      told.push(request.headers["stead-record-format"]);
      response.end(JSON.stringify(status));
    });
    await client.status(20_000, undefined, 2);
    await client.status(20_000);
    expect(told).toEqual(["2", undefined]);
  });

  test("tells a refused connection from a time-out, a reset, a wrong secret, and nonsense", async () => {
    const url = await listen(createTcpServer());
    const gone = servers.pop();
    await new Promise((resolve) => gone?.close(resolve));
    expect((await new HostClient(url, "right", systemClock).status(20_000)).kind).toBe("refused");
    expect((await (await serve(() => undefined)).status(50)).kind).toBe("timeout");
    expect((await (await serve((_, response) => response.destroy())).status(20_000)).kind).toBe("reset");
    expect((await (await serve((_, response) => response.end("{"))).status(20_000)).kind).toBe("invalid");
    expect(
      (await (await serve((_, response) => response.end(JSON.stringify({ ...status, version: 2 })))).status(20_000))
        .kind,
    ).toBe("invalid");
    expect((await (await serve((_, response) => response.writeHead(500).end("{}"))).status(20_000)).kind).toBe(
      "invalid",
    );
    const secretive = new HostClient(
      await listen(createServer((_, response) => response.writeHead(401).end())),
      "wrong",
      systemClock,
    );
    expect((await secretive.status(20_000)).kind).toBe("unauthorized");
  });

  test("gives a host's own words when it refuses in the shape of all refusals", async () => {
    const refused = { error: "the vault is away", code: "failed", advice: "mount it" };
    const client = await serve((_, response) => response.writeHead(500).end(JSON.stringify(refused)));
    expect(await client.checkpoint()).toEqual({
      kind: "invalid",
      message: "/v1/checkpoint was answered with 500: the vault is away (mount it)",
    });
  });

  test("measures the whole answer: one that trickles is a time-out, one without an end is invalid", async () => {
    const trickle = await serve((_, response) => {
      const timer = setInterval(() => response.write(" "), 10);
      response.on("close", () => clearInterval(timer));
    });
    expect((await trickle.status(100)).kind).toBe("timeout");
    const flood = await serve((_, response) => {
      const more = (): void => {
        if (!response.destroyed && response.write(" ".repeat(1024 * 1024))) setImmediate(more);
      };
      response.on("drain", more);
      more();
    });
    expect((await flood.status(20_000)).kind).toBe("invalid");
  });

  test("does not count time in which this process was not running", async () => {
    const server = createServer(sealedHandler("x", host, (_, response) => response.end(JSON.stringify(status))));
    let missedMs = 0;
    // The first timer of the call comes due at once, as after a pause of ten seconds; the answer has yet to be read.
    const clock: Clock = {
      ...systemClock,
      now: () => systemClock.now() + missedMs,
      setTimer: (ms, callback) => {
        if (missedMs > 0) return systemClock.setTimer(ms, callback);
        missedMs = 10_000;
        return systemClock.setTimer(0, callback);
      },
    };
    expect((await new HostClient(await listen(server), "x", clock).status(5_000)).kind).toBe("ok");
  });

  test("ends at once when the caller aborts it", async () => {
    const client = await serve(() => undefined);
    const controller = new AbortController();
    const answer = client.status(10_000, controller.signal);
    controller.abort();
    expect((await answer).kind).toBe("aborted");
    expect((await client.status(10_000, controller.signal)).kind).toBe("aborted");
  });
});

describe("the status stream", () => {
  test("hands over each status, whole, however it is cut into pieces, and says how it ended", async () => {
    const text = lines(status, { ...status, position: 4 });
    const client = await serve((_, response) => {
      let at = 0;
      const next = (): void => {
        if (at >= text.length) response.end();
        else response.write(text.slice(at, (at += 97)), () => setImmediate(next));
      };
      next();
    });
    const positions: number[] = [];
    expect(await client.streamStatus(({ position }) => positions.push(position), new AbortController().signal)).toEqual(
      { kind: "ended" },
    );
    expect(positions).toEqual([3, 4]);
  });

  test("ends as reset when the connection breaks, as time-out when it is silent, as invalid at nonsense", async () => {
    const ignore = (): void => undefined;
    const { signal } = new AbortController();
    const broken = await serve((_, response) => response.write(lines(status), () => response.destroy()));
    expect((await broken.streamStatus(ignore, signal)).kind).toBe("reset");
    const silent = await serve((_, response) => response.write(lines(status)), impatient);
    expect((await silent.streamStatus(ignore, signal)).kind).toBe("timeout");
    const nonsense = await serve((_, response) => response.write("nonsense\n"));
    expect((await nonsense.streamStatus(ignore, signal)).kind).toBe("invalid");
    const other = await serve((_, response) => response.write(lines({ ...status, role: "king" })));
    expect((await other.streamStatus(ignore, signal)).kind).toBe("invalid");
    const refusing = await serve((_, response) => response.writeHead(503).end("{}"));
    expect((await refusing.streamStatus(ignore, signal)).kind).toBe("invalid");
  });
});

describe("an order", () => {
  const run = async (
    answer: (response: ServerResponse) => void,
    limits = patient,
  ): Promise<[string, PromoteEvent[]]> => {
    const client = await serve((_, response) => answer(response), limits);
    const events: PromoteEvent[] = [];
    const end = await client.promote(request, (event) => events.push(event), new AbortController().signal);
    return [end.kind, events];
  };

  test("gives each phase and ends with the host's answer", async () => {
    const phase = { kind: "phase" as const, phase: "claim" as const, ms: 1.5 };
    const done = { kind: "done" as const, epoch: 2, position: 9, dataUrl: "http://127.0.0.1:1" };
    expect(await run((response) => response.end(lines(phase, done)))).toEqual(["ended", [phase, done]]);
  });

  test("that is refused, in the stream or before it, is an answer", async () => {
    const refusal = { kind: "not_ready" as const, reason: "restoring" };
    expect(await run((response) => response.end(lines({ kind: "refused", refusal })))).toEqual([
      "ended",
      [{ kind: "refused", refusal }],
    ]);
    expect(await run((response) => response.writeHead(409).end(JSON.stringify(refusal)))).toEqual([
      "ended",
      [{ kind: "refused", refusal }],
    ]);
  });

  test("without a final answer is lost, even after phases", async () => {
    const phase = { kind: "phase", phase: "claim", ms: 1 };
    expect((await run((response) => response.end(lines(phase))))[0]).toBe("reset");
    expect((await run((response) => response.write(lines(phase), () => response.destroy())))[0]).toBe("reset");
    expect((await run((response) => response.write(lines(phase)), impatient))[0]).toBe("timeout");
    expect((await run((response) => response.end(lines({ kind: "phase", phase: "coronation", ms: 1 }))))[0]).toBe(
      "invalid",
    );
    expect((await run((response) => response.writeHead(400).end('{"error":"x","advice":"y"}')))[0]).toBe("invalid");
  });
});
