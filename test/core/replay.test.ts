import { expect, test } from "bun:test";
import { decideReplay, isIdempotent } from "../../src/core/replay.ts";

const lost = { kind: "lost", released: false, bodyHeld: true, reason: "gone" } as const;

test("a request of which nothing was sent is sent again, whatever its method", () => {
  for (const method of ["GET", "POST", "PATCH", "PUT", "BREW"]) {
    expect(decideReplay(method, { kind: "not_sent", reason: "refused" })).toMatchObject({ kind: "again", why: "not_sent" });
  }
});

test("a request that the host did not execute is sent again while its body is held, and given up otherwise", () => {
  expect(decideReplay("POST", { kind: "not_executed", bodyHeld: true, reason: "x" })).toMatchObject({ kind: "again", why: "not_executed" });
  expect(decideReplay("POST", { kind: "not_executed", bodyHeld: false, reason: "x" }).kind).toBe("give_up");
});

test("a lost request is sent again only if its method is idempotent, nothing was released and its body is held", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]) {
    expect(decideReplay(method, lost).kind).toBe("again");
    expect(decideReplay(method, { ...lost, released: true }).kind).toBe("unknown");
    expect(decideReplay(method, { ...lost, bodyHeld: false }).kind).toBe("unknown");
  }
  for (const method of ["POST", "PATCH", "CONNECT", "get", "BREW", ""]) {
    expect(decideReplay(method, lost).kind).toBe("unknown");
  }
});

test("a lost request that may have changed something goes only to a later epoch, where its first copy cannot execute any more", () => {
  for (const method of ["PUT", "DELETE"]) expect(decideReplay(method, lost)).toMatchObject({ why: "changes_state" });
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"]) expect(decideReplay(method, lost)).toMatchObject({ why: "safe" });
});

test("a response that cannot be understood leaves the outcome unknown, even for a safe method", () => {
  expect(decideReplay("GET", { kind: "upstream_invalid", reason: "x" }).kind).toBe("unknown");
});

test("an answered request and one whose client is gone need nothing", () => {
  expect(decideReplay("POST", { kind: "completed" }).kind).toBe("answered");
  expect(decideReplay("POST", { kind: "client_gone" }).kind).toBe("answered");
});

test("method names are compared with their case", () => {
  expect(isIdempotent("PUT")).toBe(true);
  expect(isIdempotent("put")).toBe(false);
});
