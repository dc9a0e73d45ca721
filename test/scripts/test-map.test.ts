import { expect, test } from "bun:test";
import { misplacedTests } from "../../scripts/lib/test-map.ts";

const sources = new Set(["src/http/proxy/hold.ts", "harness/load.ts"]);
const check = (...files: readonly string[]): string[] => misplacedTests(files, sources);

test("a test that mirrors a source file, or lies in a folder named for what it proves, has its place", () => {
  expect(
    check(
      "test/http/proxy/hold.test.ts",
      "test/harness/load.test.ts",
      "test/behaviour/http/crowd.test.ts",
      "test/sim/world.ts",
      "test/support/http/raw-client.ts",
    ),
  ).toEqual([]);
});

test("a test of no source file is a violation, also when the source file has moved", () => {
  expect(check("test/http/hold.test.ts")).toEqual([
    "test/http/hold.test.ts:1: mirrors no source file (src/http/hold.ts); name it after the file that it proves, or move it into a folder named for what it proves",
  ]);
  expect(check("test/http/behaviour.test.ts")).toHaveLength(1);
});

test("a helper beside tests that mirror is a violation", () => {
  expect(check("test/http/proxy/raw-client.ts")).toHaveLength(1);
});
