import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { Endings } from "../../../src/host/application/endings.ts";
import { isOfEpoch } from "../../../src/core/replay.ts";
import { Front } from "../../../src/host/application/front.ts";
import type { ServingTerm } from "../../../src/host/application/serving-term.ts";
import { GateShutError } from "../../../src/host/primary/journal-end.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { systemClock, type Clock } from "../../../src/runtime/clock.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { until } from "../../support/host/log-fixture.ts";
import { sampleOf } from "../../support/metrics/promtool.ts";

const minute = 60_000;
const limits = {
  connectionsMax: 100,
  headBytesMax: 16_384,
  headerCountMax: 100,
  bodyBytesMax: 1 << 20,
  headArrivalMs: minute,
  idleMs: minute,
  connectMs: minute,
  firstByteMs: minute,
};
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function frontOf(clock: Clock = systemClock): Promise<{ front: Front; url: string }> {
  const front = await Front.listen({ listen: { host: "127.0.0.1", port: 0 }, limits, clock });
  closers.push(() => front.close());
  return { front, url: `http://127.0.0.1:${front.port}` };
}

async function application(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ port: number; server: Server }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

/** One that counts what it executes. */
async function counting(): Promise<{ port: number; executed: () => number }> {
  let executed = 0;
  const { port } = await application((_request, response) => {
    executed += 1;
    response.end("done");
  });
  return { port, executed: () => executed };
}

function termOf(applicationPort: number, changes: Partial<ServingTerm> = {}): ServingTerm {
  return {
    epoch: 4,
    position: 9,
    gate: () => undefined,
    applicationHost: "127.0.0.1",
    applicationPort,
    whenReady: () => Promise.resolve(),
    isReady: true,
    endings: new Endings(systemClock),
    maySpareEnding: true,
    onCheckpointAsked: () => undefined,
    ...changes,
  };
}

describe("the front", () => {
  test("executes a request only in the epoch for which a gateway routed it", async () => {
    const { front, url } = await frontOf();
    const { port, executed } = await counting();
    front.serve(termOf(port));
    const late = await fetch(url, { method: "PUT", body: "x", headers: { "stead-epoch": "3" } });
    expect([late.status, late.headers.get("stead-outcome")]).toEqual([503, "not-executed"]);
    expect(executed()).toBe(0);
    expect((await fetch(url, { method: "PUT", body: "x", headers: { "stead-epoch": "4" } })).status).toBe(200);
    expect((await fetch(url, { method: "PUT", body: "x" })).status).toBe(200);
    expect(executed()).toBe(2);
  });

  describe("with names", () => {
    const fields = (count: number, how: "first" | "again", after = 9) => ({
      "stead-epoch": how === "again" ? "4-again" : "4",
      "stead-request": `00112233445566aa ${count} ${after} ${how}`,
    });
    const post = (url: string, headers: Record<string, string>) => fetch(url, { method: "POST", body: "x", headers });
    const outcomeOf = (answer: Response) => [
      answer.status,
      answer.headers.get("stead-outcome"),
      answer.headers.get("stead-cause"),
    ];

    test("executes a lost request that no flush has, and tells its application nothing of its name", async () => {
      const { front, url } = await frontOf();
      const seen: string[] = [];
      const { port } = await application((request, response) => {
        seen.push(...Object.keys(request.headers).filter((name) => name.startsWith("stead-")));
        response.end("done");
      });
      front.serve(termOf(port));
      front.handover.names.onFlush(9, { names: [{ run: "00112233445566aa", count: 1 }], isComplete: true });
      expect((await post(url, fields(2, "again"))).status).toBe(200);
      expect(seen).toEqual([]);
      expect(front.handover.names.take().names).toMatchObject([{ count: 2 }]);
    });

    test("does not execute one that a flush has, or that it had itself, or of which it cannot know", async () => {
      const inDoubt = [502, "unknown", "in-doubt"];
      const { front, url } = await frontOf();
      const { port, executed } = await counting();
      front.serve(termOf(port));
      front.handover.names.onFlush(9, { names: [{ run: "00112233445566aa", count: 1 }], isComplete: true });
      front.handover.names.isUnknownUntil(8);
      expect((await post(url, fields(2, "first"))).status).toBe(200);
      expect(outcomeOf(await post(url, fields(1, "again")))).toEqual(inDoubt);
      expect(outcomeOf(await post(url, fields(2, "again")))).toEqual([200, "recorded", null] as never);
      expect(outcomeOf(await post(url, fields(3, "again", 7)))).toEqual(inDoubt);
      expect(executed()).toBe(1);
    });

    test("answers one whose outcome is known with it, through the gate, and does not execute it", async () => {
      const { front, url } = await frontOf();
      const { port, server } = await application((request, response) => {
        request.resume();
        response.writeHead(201, "Made", {
          "Set-Cookie": ["a=1", "b=2"],
          "Stead-Checkpoint": "later",
          "Content-Length": 10,
          "X-Kept": "yes",
        });
        response.end("the answer");
      });
      let gates = 0;
      front.serve(termOf(port, { gate: () => void (gates += 1) }));
      const first = await post(url, fields(1, "first"));
      const taken = front.handover.names.takeOutcomes();
      front.handover.names.onDurable([], taken, 0);
      server.close();
      server.closeAllConnections();
      const before = gates;
      const again = await post(url, fields(1, "again"));
      expect(gates).toBe(before + 1);
      const seen = async (answer: Response) => [
        ...[answer.status, answer.statusText, await answer.text()],
        ...["set-cookie", "x-kept", "content-length", "stead-checkpoint"].map((name) => answer.headers.get(name)),
      ];
      expect(again.headers.get("stead-outcome")).toBe("recorded");
      const whole = await seen(first);
      expect(await seen(again)).toEqual(whole);
      expect(whole).toEqual([201, "Made", "the answer", "a=1, b=2", "yes", "10", null]);
    });

    test("says of one whose answer was too long to be kept that it was executed", async () => {
      const { front, url } = await frontOf();
      const { port } = await application((_request, response) => response.end("x".repeat(100_000)));
      front.serve(termOf(port));
      expect((await (await post(url, fields(1, "first"))).text()).length).toBe(100_000);
      front.handover.names.onDurable([], front.handover.names.takeOutcomes(), 0);
      const again = await post(url, fields(1, "again"));
      expect(outcomeOf(again)).toEqual([502, "unknown", "executed"]);
      expect(again.headers.get("stead-reason")).toContain("100000 bytes, SHA-256 ");
    });

    test("counts those that it answers as recorded, and those that it cannot", async () => {
      const metrics = new PrometheusMetrics(hostMetrics);
      const front = await Front.listen({ listen: { host: "127.0.0.1", port: 0 }, limits, clock: systemClock, metrics });
      closers.push(() => front.close());
      const url = `http://127.0.0.1:${front.port}`;
      const { port } = await application((request, response) =>
        response.end(request.headers["x-long"] === undefined ? "short" : "x".repeat(100_000)),
      );
      front.serve(termOf(port));
      await (await post(url, fields(1, "first"))).text();
      await (await post(url, { ...fields(2, "first"), "X-Long": "yes" })).text();
      front.handover.names.onDurable([], front.handover.names.takeOutcomes(), 0);
      const counts = async (): Promise<number[]> => {
        const text = await metrics.text();
        return ["stead_front_recorded_total", "stead_front_in_doubt_total"].map((name) => sampleOf(text, name) ?? 0);
      };
      await post(url, fields(1, "again"));
      expect(await counts()).toEqual([1, 0]);
      await post(url, fields(2, "again"));
      expect(await counts()).toEqual([1, 1]);
    });

    test("executes one with an Idempotency-Key once, and compares its repetitions with it", async () => {
      const { front, url } = await frontOf();
      const { port, executed } = await counting();
      front.serve(termOf(port));
      const keyed = (body: string, more: Record<string, string> = {}) => {
        const headers = { "stead-epoch": "4-again", "stead-request": "00112233445566aa 7 9 keyed", ...more };
        return fetch(url, { method: "POST", body, headers: { "idempotency-key": "k", ...headers } });
      };
      expect([(await keyed("x")).status, executed()]).toEqual([200, 1]);
      const again = await keyed("x");
      expect([again.status, await again.text(), again.headers.get("stead-outcome")]).toEqual([200, "done", "recorded"]);
      const others = [keyed("y"), keyed("x", { authorization: "other" }), keyed("x", { "idempotency-key": "" })];
      expect((await Promise.all(others)).map(({ status }) => status)).toEqual([422, 422, 400]);
      front.handover.begin({}, { run: "00112233445566aa", count: 8, after: 0, isAgain: false, isKeyed: true }, 1);
      expect((await keyed("x", { "stead-request": "00112233445566aa 8 9 keyed" })).status).toBe(409);
      expect(executed()).toBe(1);
    });

    test("reads on the answer to one with an Idempotency-Key whose client is gone, and to no other", async () => {
      const { front, url } = await frontOf();
      const responses: ServerResponse[] = [];
      const { port } = await application((_request, response) => void responses.push(response));
      front.serve(termOf(port));
      const gone = new AbortController();
      const { signal } = gone;
      const keyed = {
        ...{ method: "POST", body: "x" },
        headers: { ...fields(7, "again"), "stead-request": "00112233445566aa 7 9 keyed", "idempotency-key": "k" },
      };
      const plain = { method: "POST", body: "x", headers: fields(8, "first") };
      const cut = [keyed, plain].map((request) => fetch(url, { ...request, signal }).catch(() => "cut"));
      await until(() => responses.length === 2);
      gone.abort();
      expect(await Promise.all(cut)).toEqual(["cut", "cut"]);
      await until(() => front.active === 1);
      for (const response of responses) response.end("done");
      await until(() => front.active === 0);
      const again = await fetch(url, keyed);
      expect([again.status, await again.text(), again.headers.get("stead-outcome")]).toEqual([200, "done", "recorded"]);
      expect(outcomeOf(await post(url, fields(8, "again")))).toEqual([502, "unknown", "in-doubt"]);
    });

    test("hands named requests over behind a collection, and others at once", async () => {
      const { front, url } = await frontOf();
      const { port, executed } = await counting();
      front.serve(termOf(port));
      front.handover.begin({}, { run: "00112233445566aa", count: 9, after: 0, isAgain: false }, 1);
      const pause = front.handover.pause(5);
      const waiting = post(url, fields(1, "first"));
      expect((await fetch(url)).status).toBe(200);
      await pause;
      expect([front.handover.isOpen, executed()]).toEqual([false, 1]);
      expect(front.handover.names.take().names.map(({ count }) => count)).toEqual([9]);
      front.handover.release();
      expect((await waiting).status).toBe(200);
      expect(front.handover.names.take().names.map(({ count }) => count)).toEqual([1]);
    });

    test("notes no name of a request that it refuses or cannot send, so that it may come again", async () => {
      const { front, url } = await frontOf();
      const { port, server } = await application((_request, response) => response.end("done"));
      front.serve(termOf(port));
      expect(outcomeOf(await post(url, { ...fields(1, "again"), "stead-epoch": "3-again" }))[1]).toBe("not-executed");
      server.close();
      server.closeAllConnections();
      await until(() => !server.listening);
      expect(outcomeOf(await post(url, fields(2, "first")))[1]).toBe("not-executed");
      expect(front.handover.names.take().names).toEqual([]);
      const { port: next } = await application((_request, response) => response.end("done"));
      front.serve(termOf(next));
      for (const count of [1, 2]) expect((await post(url, fields(count, "again"))).status).toBe(200);
    });

    test("a host of a version without names refuses a request that is sent again", () => {
      expect(isOfEpoch(fields(1, "again")["stead-epoch"], 4)).toBe(false);
    });
  });

  test("gives a request back as not executed while its host is not primary, and says why", async () => {
    const { front, url } = await frontOf();
    front.abort("restoring");
    const answer = await fetch(url, { method: "POST", body: "x" });
    expect(answer.status).toBe(503);
    expect(answer.headers.get("stead-outcome")).toBe("not-executed");
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(await answer.text()).toContain("not primary");
  });

  test("forwards to the application, and lets no field of ours out", async () => {
    const { front, url } = await frontOf();
    let asked = 0;
    const { port } = await application((_request, response) => {
      response.writeHead(201, { "Stead-Checkpoint": "now", "Stead-Outcome": "not-executed", "X-Mine": "kept" });
      response.end("made");
    });
    front.serve(termOf(port, { onCheckpointAsked: () => (asked += 1) }));
    const answer = await fetch(url, { method: "POST", body: "x" });
    expect([answer.status, await answer.text()]).toEqual([201, "made"]);
    expect(answer.headers.get("x-mine")).toBe("kept");
    expect([...answer.headers.keys()].filter((name) => name.startsWith("stead-"))).toEqual([]);
    expect(asked).toBe(1);
  });

  test("asks for no checkpoint when the field says anything but now", async () => {
    const { front, url } = await frontOf();
    let asked = 0;
    const { port } = await application((_request, response) => response.setHeader("Stead-Checkpoint", "later").end());
    front.serve(termOf(port, { onCheckpointAsked: () => (asked += 1) }));
    await fetch(url);
    expect(asked).toBe(0);
  });

  test("releases no byte before the gate lets it", async () => {
    const { front, url } = await frontOf();
    const { port } = await application((_request, response) => response.end("secret"));
    const gate = Promise.withResolvers<void>();
    let asked = false;
    front.serve(termOf(port, { gate: () => ((asked = true), gate.promise) }));
    let isAnswered = false;
    const answer = fetch(url).then((response) => ((isAnswered = true), response.text()));
    await until(() => asked);
    expect(isAnswered).toBe(false);
    gate.resolve();
    expect(await answer).toBe("secret");
  });

  test("cuts the client off, without a byte, when the gate says never", async () => {
    const { front, url } = await frontOf();
    const { port } = await application((_request, response) => response.end("undone"));
    front.serve(termOf(port, { gate: () => Promise.reject(new GateShutError()) }));
    const outcome = await fetch(url, { method: "POST", body: "x" }).then(
      (response) => response.text(),
      () => "cut",
    );
    expect(outcome).not.toContain("undone");
  });

  test("follows an application that was started again at another port, and cuts what the old one still has", async () => {
    const { front, url } = await frontOf();
    const old = await application((request, response) => (request.url === "/held" ? undefined : response.end("old")));
    const next = await application((_request, response) => response.end("new"));
    let port = old.port;
    const term = termOf(0);
    front.serve({
      ...term,
      get applicationPort() {
        return port;
      },
    });
    expect(await (await fetch(url)).text()).toBe("old");
    const held = fetch(`${url}/held`, { method: "POST" });
    await until(() => front.requests.size === 1);
    port = next.port;
    expect(await (await fetch(url)).text()).toBe("new");
    expect((await held).status).toBe(502);
    expect(front.requests.size).toBe(0);
  });

  test("says unknown when the application closes the connection in the middle of a request", async () => {
    const { front, url } = await frontOf();
    const { port } = await application((request) => request.socket.destroy());
    front.serve(termOf(port));
    const answer = await fetch(url, { method: "POST", body: "x" });
    expect([answer.status, answer.headers.get("stead-outcome")]).toEqual([502, "unknown"]);
  });

  test("says not executed when the application takes no connection", async () => {
    const { front, url } = await frontOf();
    const { port, server } = await application(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    front.serve(termOf(port));
    const answer = await fetch(url, { method: "POST", body: "x" });
    expect([answer.status, answer.headers.get("stead-outcome")]).toEqual([503, "not-executed"]);
  });

  test("holds a request while the application is restarted", async () => {
    const { front, url } = await frontOf();
    const { port } = await application((_request, response) => response.end("back"));
    const ready = Promise.withResolvers<void>();
    front.serve(termOf(port, { isReady: false, whenReady: () => ready.promise }));
    const answer = fetch(url);
    await until(() => front.active === 1);
    ready.resolve();
    expect(await (await answer).text()).toBe("back");
  });

  test("gives requests that wait for a restart back at once when the term ends", async () => {
    // Its clock stands still: the time for a restart cannot be what ends their wait.
    const { front, url } = await frontOf(new ManualClock());
    const { port } = await application((_request, response) => response.end("never"));
    front.serve(termOf(port, { isReady: false, whenReady: () => new Promise(() => undefined) }));
    const answer = fetch(url, { method: "POST", body: "x" });
    await until(() => front.active === 1);
    front.abort("the application was given up");
    const { headers, body } = await answer.then(async (response) => ({
      headers: response.headers,
      body: await response.text(),
    }));
    expect([headers.get("stead-outcome"), body]).toEqual(["not-executed", "this host is no longer primary\n"]);
  });

  test("finishes requests in flight when it drains, and refuses new ones meanwhile", async () => {
    const { front, url } = await frontOf();
    const responses: ServerResponse[] = [];
    const { port } = await application((_request, response) => void responses.push(response));
    front.serve(termOf(port));
    const inFlight = fetch(url);
    await until(() => responses.length === 1);
    const drained = front.drain({ drainMs: minute, streamsMs: minute });
    const refused = await fetch(url, { method: "POST", body: "x" });
    expect([refused.status, refused.headers.get("stead-outcome")]).toEqual([503, "not-executed"]);
    responses[0]?.end("finished");
    expect(await (await inFlight).text()).toBe("finished");
    expect(await drained).toEqual({ cut: 0 });
  });

  test("finishes a long answer of which a part has left", async () => {
    const { front, url } = await frontOf();
    const sockets: Socket[] = [];
    // In one piece of more than 4 KiB, whose memory is given back as soon as it has left (runtime/tcp/bun-tcp.ts).
    const first = `HTTP/1.1 200 OK\r\nContent-Length: 220000\r\n\r\n${"x".repeat(20_000)}`;
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      socket.once("data", () => socket.write(first));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => server.close());
    front.serve(termOf((server.address() as AddressInfo).port));
    const reader = (await fetch(url)).body?.getReader();
    expect((await reader?.read())?.done).toBe(false);
    const drained = front.drain({ drainMs: minute, streamsMs: minute });
    sockets[0]?.end("y".repeat(200_000));
    while ((await reader?.read())?.done === false);
    expect(await drained).toEqual({ cut: 0 });
  });

  test("does not wait longer than it is told for requests that never finish, and counts them", async () => {
    const { front, url } = await frontOf();
    let arrived = false;
    const { port } = await application(() => (arrived = true));
    front.serve(termOf(port));
    const stuck = fetch(url).then(
      (response) => response.status,
      () => "cut",
    );
    await until(() => arrived);
    expect(await front.drain({ drainMs: 10, streamsMs: 10 })).toEqual({ cut: 1 });
    front.abort("stepped down");
    expect(await stuck).toBe("cut");
  });
});
