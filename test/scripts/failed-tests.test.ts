/** What failed tests printed, as `scripts/test` repeats it at the end. */
import { expect, test } from "bun:test";
import { failedTests } from "../../scripts/lib/failed-tests.ts";

test("each failure is told with what it printed, and nothing of what passed", () => {
  const output = [
    "test/a.test.ts:",
    "said by the first",
    "(pass) first [1.00ms]",
    "12 |   expect(1).toBe(2);",
    "error: expect(received).toBe(expected)",
    "(fail) second [2.00ms]",
    "",
    "test/b.test.ts:",
    "error: no host",
    "(fail) libsql > (unnamed) [0.41ms]",
    "",
    "2 tests failed:",
    "(fail) second [2.00ms]",
    "(fail) libsql > (unnamed) [0.41ms]",
  ].join("\n");
  expect(failedTests(output)).toEqual([
    "12 |   expect(1).toBe(2);\nerror: expect(received).toBe(expected)\n(fail) second [2.00ms]",
    "error: no host\n(fail) libsql > (unnamed) [0.41ms]",
  ]);
});

test("of a failure that printed much the last lines are kept", () => {
  const [block = ""] = failedTests(`${"line\n".repeat(1000)}(fail) long [1.00ms]\n`);
  expect(block.split("\n")).toHaveLength(80);
});
