import { describe, expect, test } from "bun:test";
import { OpenRequests } from "../../../src/host/application/open-requests.ts";
import type { Exchange } from "../../../src/http/upstream/exchange.ts";

const exchange = (
  target: string,
  changes: { hasResponseStarted?: boolean; bodyBytes?: number } = {},
): Exchange & { bodyBytes: number } =>
  ({
    request: { method: "POST", target },
    hasResponseStarted: false,
    bodyBytes: 0,
    ...changes,
  }) as unknown as Exchange & {
    bodyBytes: number;
  };

describe("the open requests of an application", () => {
  test("are told with their age and without their query, those without an answer first, the oldest first", () => {
    const requests = new OpenRequests();
    requests.begin(exchange("/events", { hasResponseStarted: true }), 0);
    requests.begin(exchange("/export?token=secret"), 1_000);
    requests.begin(exchange("/late"), 2_000);
    expect(requests.oldest(2, 3_000)).toEqual([
      { method: "POST", path: "/export", ageMs: 2_000 },
      { method: "POST", path: "/late", ageMs: 1_000 },
    ]);
    expect(requests.oldest(10, 3_000).at(-1)?.path).toBe("/events");
  });

  test("move with each part of an answer", () => {
    const requests = new OpenRequests();
    const before = requests.traffic(0);
    expect(requests.traffic(0)).toBe(before);
    requests.onAnswer();
    expect(requests.traffic(0)).not.toBe(before);
  });

  test("move while a body is sent for long, and not with bodies that the kernel takes at once, also for what hangs", () => {
    const requests = new OpenRequests();
    const long = exchange("/upload");
    requests.begin(long, 0);
    long.bodyBytes = 10;
    const begun = requests.traffic(500);
    long.bodyBytes = 20;
    expect(requests.traffic(900)).toBe(begun);
    long.bodyBytes = 30;
    expect(requests.traffic(1_500)).not.toBe(begun);
    const since = requests.traffic(1_600);
    requests.begin(exchange("/form", { bodyBytes: 300 }), 1_600);
    requests.remove(long);
    expect(requests.traffic(1_700)).toBe(since);
    expect(requests.traffic(60_000)).toBe(since);
    expect(requests.size).toBe(1);
  });
});
