import { expect, test } from "bun:test";
import { RequestTrace, stepsMax } from "../../../src/http/proxy/request-trace.ts";
import { HeaderList } from "../../../src/http/message/headers.ts";
import type { Exchange } from "../../../src/http/upstream/exchange.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { oneService } from "../../support/http/one-service.ts";
import type { BackendConnection } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const parent = "00f067aa0ba902b7";
const given = `00-${trace}-${parent}-01`;
const get = (...lines: string[]): string => `GET /x HTTP/1.1\r\n${["Host: a", ...lines].join("\r\n")}\r\n\r\n`;
const answer = (c: BackendConnection): void => void c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

const exchangeOf = (...values: string[]): Exchange =>
  ({
    ...{ requestId: "r1" },
    request: { method: "GET", headers: HeaderList.from(values.map((value) => ["Traceparent", value])) },
  }) as unknown as Exchange;

test("a request that waits and is resent has a hold and a replay, and its traceparent passes on unchanged", async () => {
  await using g = await oneService();
  const first = await g.backend(() => undefined);
  g.serve(first);
  const client = await g.client();
  client.send(get(`traceparent: ${given}`, "X-Request-Id: r1"));
  await waitFor(() => first.connections[0]?.received.endsWith("\r\n\r\n") ?? false);
  g.stop();
  await waitFor(() => g.hold.waiting === 1);
  const second = await g.backend(answer);
  g.serve(second);
  await client.until((r) => r.endsWith("ok"));
  expect(second.last.received).toContain(`traceparent: ${given}\r\n`);
  expect(g.traced).toMatchObject([
    {
      ...{ traceId: trace, parentId: parent, requestId: "r1", method: "GET", end: "ok", replays: 1 },
      steps: [
        { kind: "hold", result: "released", why: undefined },
        { kind: "replay", result: "completed", why: "safe" },
      ],
    },
  ]);
  const [hold, replay] = g.traced[0]?.steps ?? [];
  if (hold === undefined || replay === undefined) throw new Error("two steps");
  expect(replay.startMs).toBeLessThanOrEqual(hold.startMs);
  expect(hold.endMs).toBeLessThanOrEqual(replay.endMs);
});

test("nothing is told of a request that neither waits nor is resent, nor of one without a trace", async () => {
  await using g = await oneService();
  g.serve(await g.backend(answer));
  const client = await g.client();
  client.send(get(`traceparent: ${given}`));
  await client.until((r) => r.endsWith("ok"));
  g.stop();
  const other = await g.client();
  other.send(get());
  await waitFor(() => g.hold.waiting === 1);
  g.serve(await g.backend(answer));
  await other.until((r) => r.endsWith("ok"));
  expect(g.ends).toEqual(["ok", "ok held"]);
  expect(g.traced).toEqual([]);
});

test("a request whose client is gone ends its wait so", async () => {
  await using g = await oneService();
  const client = await g.client();
  client.send(get(`traceparent: ${given}`));
  await waitFor(() => g.hold.waiting === 1);
  client.destroy();
  await waitFor(() => g.traced.length === 1);
  expect(g.traced).toMatchObject([{ end: "client-gone", steps: [{ kind: "hold", result: "gone" }] }]);
});

test("a trace that its sender does not record, and two at once, are none", () => {
  const clock = new ManualClock();
  expect(RequestTrace.of(exchangeOf(`00-${trace}-${parent}-00`), clock)).toBeUndefined();
  expect(RequestTrace.of(exchangeOf(given, given), clock)).toBeUndefined();
  expect(RequestTrace.of(exchangeOf(given), clock)).toBeDefined();
});

test("steps are bounded, and one that is open at the end ends as the request", () => {
  const clock = new ManualClock();
  const bounded = RequestTrace.of(exchangeOf(given), clock);
  for (let step = 0; step < stepsMax + 5; step++) {
    bounded?.begin("replay", { why: "not-sent" });
    clock.advance(10);
    bounded?.complete("replay", "not-sent");
  }
  expect(bounded?.told("failed", stepsMax + 5)?.steps).toHaveLength(stepsMax);
  const open = RequestTrace.of(exchangeOf(given), clock);
  open?.begin("hold");
  clock.advance(7);
  expect(open?.told("failed", 0)?.steps).toEqual([
    { kind: "hold", why: undefined, startMs: clock.now() - 7, endMs: clock.now(), result: "failed" },
  ]);
});
