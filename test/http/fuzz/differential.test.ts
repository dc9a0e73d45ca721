import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { difference, differential } from "./differential.ts";

const hasNode = spawnSync("node", ["--version"]).status === 0;

test.skipIf(!hasNode)(
  "nothing that llhttp refuses is accepted, and nothing is read differently (30,000 of a million; see differential.ts)",
  async () => {
    const result = await differential(30_000, 5_000_000);
    expect(result.differences).toEqual([]);
    expect(result.messages).toBeGreaterThan(5_000);
  },
  60_000,
);

test("the comparison notices a message that only one side accepts, and one that is read differently", () => {
  const message = (body: string): [string, string, string, string[], string, string[]] => [
    "GET",
    "/",
    "1.1",
    ["Host", "a"],
    body,
    [],
  ];
  expect(difference({ messages: [message("")], end: "ok" }, { messages: [], end: "HPE_INVALID_TOKEN" })).toContain(
    "accepted by us only",
  );
  expect(difference({ messages: [message("a")], end: "ok" }, { messages: [message("b")], end: "ok" })).toContain(
    "read differently",
  );
  expect(
    difference({ messages: [message("a")], end: "error x" }, { messages: [message("a"), message("c")], end: "ok" }),
  ).toBeUndefined();
});
