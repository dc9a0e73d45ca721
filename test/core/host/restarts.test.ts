import { expect, test } from "bun:test";
import { judgeEnding, type Restart, type RestartVerdict } from "../../../src/core/host/restarts.ts";

const settings = { max: 3, windowMs: 60_000 };
const judge = (before: readonly Restart[], cause: Restart["cause"], now: number): RestartVerdict["kind"] =>
  judgeEnding(before, cause, now, settings).kind;
const at = (cause: Restart["cause"], ...times: readonly number[]): Restart[] =>
  times.map((time) => ({ at: time, cause }));

test.each<[string, Restart[], Restart["cause"], number, RestartVerdict["kind"]]>([
  ["the first end of an application is followed by a restart", [], "ended", 0, "restart"],
  ["so is the last one that is allowed", at("ended", 0, 1), "ended", 2, "restart"],
  ["one more is not", at("ended", 0, 1, 2), "ended", 3, "give-up"],
  ["ends before the window do not count", at("ended", 0, 1, 2), "ended", 60_001, "restart"],
  ["the first time it is stuck it is restarted", at("ended", 0), "stuck", 1, "restart"],
  [
    "the second time within the window it is not, even with an end in between",
    [...at("stuck", 0), ...at("ended", 1)],
    "stuck",
    2,
    "give-up",
  ],
  ["being stuck again after the window is the first time", at("stuck", 0), "stuck", 60_000, "restart"],
  ["a crash after it was stuck is a crash", at("stuck", 0), "ended", 1, "restart"],
  ["restarts for being stuck count as restarts", [...at("stuck", 0), ...at("ended", 1, 2)], "ended", 3, "give-up"],
])("%s", (_, before, cause, now, expected) => {
  expect(judge(before, cause, now)).toBe(expected);
});

test("a limit of zero restarts is allowed", () => {
  expect(judgeEnding([], "stuck", 0, { max: 0, windowMs: 1_000 })).toMatchObject({
    kind: "give-up",
    why: "it was restarted 0 times within 1000 ms",
  });
});
