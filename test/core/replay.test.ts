import { expect, test } from "bun:test";
import {
  type AttemptOutcome,
  decideReplay,
  describeLosses,
  isIdempotent,
  type ReplayHistory,
} from "../../src/core/replay.ts";
import { type Rules, withoutRule } from "../../src/core/rules.ts";

const lost = { kind: "lost", released: false, bodyHeld: true, cause: "host-lost", reason: "gone" } as const;
const fresh: ReplayHistory = { losses: [], againMax: 1 };
const decide = (method: string, outcome: AttemptOutcome, history = fresh, rules?: Rules) =>
  decideReplay(method, outcome, history, rules);

test("a request of which nothing was sent is resent, with any method", () => {
  for (const method of ["GET", "POST", "PATCH", "PUT", "BREW"]) {
    expect(decide(method, { kind: "not-sent", reason: "refused" })).toMatchObject({ kind: "again", why: "not-sent" });
  }
});

test("a request that the host did not execute is resent while its body is held, and given up otherwise", () => {
  expect(decide("POST", { kind: "not-executed", bodyHeld: true, reason: "x" })).toMatchObject({
    kind: "again",
    why: "not-executed",
  });
  expect(decide("POST", { kind: "not-executed", bodyHeld: false, reason: "x" }).kind).toBe("give-up");
});

test("a lost request is resent only if its method is idempotent, nothing was released and its body is held", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]) {
    expect(decide(method, lost).kind).toBe("again");
    expect(decide(method, { ...lost, released: true }).kind).toBe("unknown");
    expect(decide(method, { ...lost, bodyHeld: false }).kind).toBe("unknown");
  }
  for (const method of ["POST", "PATCH", "CONNECT", "get", "BREW", ""]) {
    expect(decide(method, lost).kind).toBe("unknown");
  }
});

test("a lost request that may have changed something goes only to a later epoch, where its first copy cannot execute any more", () => {
  for (const method of ["PUT", "DELETE"]) expect(decide(method, lost)).toMatchObject({ why: "changes-state" });
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"]) expect(decide(method, lost)).toMatchObject({ why: "safe" });
});

test("without either rule about repetitions a lost PUT goes to any epoch", () => {
  for (const rule of ["replay", "replay-later-epoch"] as const)
    expect(decide("PUT", lost, fresh, withoutRule(rule))).toMatchObject({ kind: "again", why: "safe" });
});

test("a client is told of each kind of loss that there was, and of no other", () => {
  expect(describeLosses(["host-lost"], "reset")).toBe("the host was lost once while it had this request: reset");
  expect(describeLosses(["application-ended", "application-ended"], "reset")).toBe(
    "the application ended twice while it had this request",
  );
  expect(describeLosses(["host-lost", "application-ended"], "reset")).toBe(
    "the application ended once while it had this request; the host was lost once while it had this request: reset",
  );
});

test("a write that its host had by name is resent to a later epoch, once, unless a byte was released, its body is gone or its host lives", () => {
  const named: ReplayHistory = { ...fresh, isNamed: true };
  for (const method of ["POST", "PATCH", "BREW"]) {
    expect(decide(method, lost, named)).toMatchObject({ kind: "again", why: "named" });
    expect(decide(method, lost, { ...named, losses: ["host-lost"] }).kind).toBe("unknown");
    expect(decide(method, { ...lost, released: true }, named).kind).toBe("unknown");
    expect(decide(method, { ...lost, bodyHeld: false }, named).kind).toBe("unknown");
    for (const cause of ["application-ended", "closed"] as const)
      expect(decide(method, { ...lost, cause }, named).kind).toBe("unknown");
  }
  expect(decide("PUT", lost, named)).toMatchObject({ why: "changes-state" });
});

test("a request that the next primary is in doubt about is not resent, with any method", () => {
  for (const method of ["GET", "PUT", "POST"])
    expect(decide(method, { ...lost, cause: "in-doubt" }, { ...fresh, isNamed: true, againMax: 9 }).kind).toBe(
      "unknown",
    );
});

test("a response that cannot be understood is not asked for again, even with a safe method", () => {
  expect(decide("GET", { kind: "upstream-invalid", reason: "x" }).kind).toBe("invalid");
});

test("a request that was sent and lost is resent once in all, with a safe method too, and then answered with what happened", () => {
  const ended = { ...lost, cause: "application-ended" } as const;
  expect(decide("GET", ended).kind).toBe("again");
  expect(decide("GET", ended, { losses: ["application-ended"], againMax: 1 })).toEqual({
    kind: "unknown",
    reason: "the application ended twice while it had this request",
  });
  expect(decide("GET", ended, { losses: [], againMax: 0 })).toMatchObject({
    kind: "unknown",
    reason: "the application ended once while it had this request",
  });
  expect(decide("GET", lost, { losses: ["application-ended"], againMax: 3 }).kind).toBe("again");
  expect(
    decide("GET", ended, { losses: ["application-ended", "application-ended", "host-lost"], againMax: 3 }),
  ).toMatchObject({
    reason:
      "the application ended 3 times while it had this request; the host was lost once while it had this request: gone",
  });
  expect(
    decide("GET", ended, { losses: Array(50).fill("application-ended"), againMax: 1 }, withoutRule("replay-bound"))
      .kind,
  ).toBe("again");
});

test("a request that was not executed is resent without a bound", () => {
  expect(
    decide(
      "POST",
      { kind: "not-executed", bodyHeld: true, reason: "x" },
      { losses: ["host-lost", "host-lost"], againMax: 0 },
    ).kind,
  ).toBe("again");
});

test("a living application that closes the connection, or takes too long, is not asked again", () => {
  expect(decide("GET", { ...lost, cause: "closed" }).kind).toBe("unknown");
  expect(decide("GET", { ...lost, cause: "timed-out" }, { losses: [], againMax: 3 }).kind).toBe("timed-out");
});

test("an answered request and one whose client is gone need nothing", () => {
  expect(decide("POST", { kind: "completed" }).kind).toBe("answered");
  expect(decide("POST", { kind: "client-gone" }).kind).toBe("answered");
});

test("a put that the application had when it ended is repeated in the same epoch, since nothing that had it can execute it any more", () => {
  const ended = { ...lost, cause: "application-ended" } as const;
  for (const method of ["PUT", "DELETE"])
    expect(decide(method, ended)).toMatchObject({ kind: "again", why: "application-ended" });
  expect(decide("POST", ended).kind).toBe("unknown");
});

test("method names are compared with their case", () => {
  expect(isIdempotent("PUT")).toBe(true);
  expect(isIdempotent("put")).toBe(false);
});
