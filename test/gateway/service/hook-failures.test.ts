import { expect, test } from "bun:test";
import { HookFailures } from "../../../src/gateway/service/hook-failures.ts";

const run = (hook: string, atMs: number, ok: boolean) => ({
  hook,
  atMs,
  epoch: 1,
  ok,
  ms: 5,
  detail: ok ? null : "failed",
});

test("each failure is told once, and those from before the host was heard are not", () => {
  const failures = new HookFailures();
  expect(failures.heard("a", [run("on_promote", 1, false)])).toEqual([]);
  const next = [run("on_promote", 1, false), run("on_demote", 2, false)];
  expect(failures.heard("a", next).map(({ hook }) => hook)).toEqual(["on_demote"]);
  expect(failures.heard("a", next)).toEqual([]);
  expect(failures.heard("a", [run("on_promote", 3, true), run("on_demote", 4, false)])).toHaveLength(1);
  failures.forget("a");
  expect(failures.heard("a", next)).toEqual([]);
});
