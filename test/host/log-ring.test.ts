import { expect, test } from "bun:test";
import { HostLogs, LogRing } from "../../src/host/log-ring.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const line = (message: string) => ({ timeMs: 1, level: "info" as const, message, fields: {} });
const messages = ({ lines }: { readonly lines: readonly { readonly message: string }[] }): string[] =>
  lines.map(({ message }) => message);
const question = { run: null, after: 0, waitMs: 0, linesMax: 100 } as const;

test("the newest lines are answered first, then those after a number, and none twice", () => {
  const ring = new LogRing();
  for (const text of ["1", "2", "3", "4"]) ring.add(line(text));
  const newest = ring.read(undefined, 2);
  expect([messages(newest), newest.next, newest.lost]).toEqual([["3", "4"], 4, 0]);
  expect([messages(ring.read(1, 2)), ring.read(1, 2).next]).toEqual([["2", "3"], 3]);
  expect(ring.read(4, 10)).toEqual({ lines: [], next: 4, lost: 0 });
});

test("lines and bytes are bounded, a long line is cut, and what has left is counted", () => {
  const ring = new LogRing();
  const count = 20_000;
  for (let number = 1; number <= count; number++) ring.add(line(`${number} ${"x".repeat(500)}`));
  const { lines, lost } = ring.read(0, count);
  expect(lines.length).toBeLessThan(5_000);
  expect(lines.length).toBeGreaterThan(1_000);
  expect(lost).toBe(count - lines.length);
  ring.add(line("y".repeat(1_000_000)));
  expect(ring.read(undefined, 1).lines[0]?.message).toHaveLength(4_096);
});

test("lines leave in one go once a fifth more are there than are kept", () => {
  const ring = new LogRing();
  const count = (): number => ring.read(0, 10_000).lines.length;
  for (let number = 1; number <= 6_000; number++) ring.add(line("x"));
  expect(count()).toBe(6_000);
  ring.add(line("x"));
  expect(count()).toBe(5_000);
});

test("the host's lines and the application's are kept apart, whatever the parts in which they come", async () => {
  const logs = new HostLogs();
  logs.keeping(silent).warn("vault away", { host: "a" });
  const taken: string[] = [];
  const output = logs.keepingOutput({
    take: (bytes) => void taken.push(Buffer.from(bytes).toString()),
    close: () => void taken.push("closed"),
  });
  for (const part of ["one\ntw", "o\nthree\u001b[2J"]) output.take(Buffer.from(part));
  output.close();
  expect(taken).toEqual(["one\ntw", "o\nthree\u001b[2J", "closed"]);
  const stead = await logs.read({ ...question, of: "stead" }, systemClock);
  expect(stead.lines).toMatchObject([{ level: "warn", message: "vault away", fields: { host: "a" } }]);
  const application = await logs.read({ ...question, of: "application" }, systemClock);
  expect(messages(application)).toEqual(["one", "two", "three\\x1b[2J"]);
});

test("who has read all waits for the next line, and who knows another run gets the newest ones at once", async () => {
  const logs = new HostLogs();
  const log = logs.keeping(silent);
  log.info("first");
  const { run, next } = await logs.read({ ...question, of: "stead" }, systemClock);
  const waiting = logs.read({ ...question, of: "stead", run, after: next, waitMs: 60_000 }, systemClock);
  log.info("second");
  expect(messages(await waiting)).toEqual(["second"]);
  const other = { ...question, of: "stead", run: "another run", after: 7, waitMs: 60_000 } as const;
  expect(messages(await logs.read(other, systemClock))).toEqual(["first", "second"]);
});

test("a caller that goes away ends its wait", async () => {
  const logs = new HostLogs();
  const { run } = await logs.read({ ...question, of: "stead" }, systemClock);
  const gone = new AbortController();
  const waiting = logs.read({ ...question, of: "stead", run, waitMs: 60_000 }, systemClock, gone.signal);
  gone.abort();
  expect(messages(await waiting)).toEqual([]);
});
