import { expect, test } from "bun:test";
import { assertHostPlatform } from "../../src/host/host-platform.ts";
import { OperatorError } from "../../src/runtime/operator-error.ts";

test("a host runs on Linux, and is refused elsewhere with the system's name and a way out", () => {
  expect(() => assertHostPlatform("stead host", "linux")).not.toThrow();
  for (const [platform, name] of [
    ["darwin", "macOS"],
    ["win32", "Windows"],
    ["openbsd", "openbsd"],
  ] as const) {
    let refused: unknown;
    try {
      assertHostPlatform("stead host", platform);
    } catch (error) {
      refused = error;
    }
    if (!(refused instanceof OperatorError)) throw new Error(`not refused on ${platform}`);
    expect(refused.found).toContain(`stead host on ${name},`);
    expect(refused.advice).toContain("Linux");
  }
});
