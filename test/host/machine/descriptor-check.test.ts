import { expect, test } from "bun:test";
import {
  assertDescriptors,
  checkDescriptors,
  DescriptorLimitError,
} from "../../../src/host/machine/descriptor-check.ts";
import { openFileLimit } from "../../../src/runtime/open-file-limit.ts";

test("thirty databases fit into 256 descriptors, forty do not, and what is refused says what was found, is accepted and to be done", () => {
  expect(checkDescriptors(30, 256)).toBeUndefined();
  const found = checkDescriptors(40, 256);
  expect(found?.kind).toBe("refused");
  expect(found?.found).toBe(
    "a limit of 256 open files, and 40 databases, which need up to 264 while the application has all of them open and writes, 184 while it only has them open",
  );
  expect(found?.accepted).toBe("at least 264, or 1024");
  expect(found?.advice).toContain("LimitNOFILE=");
  expect(() => assertDescriptors(40, () => undefined, 256)).toThrow(DescriptorLimitError);
});

test("a host that could not serve one database is refused though there is none yet", () =>
  expect(checkDescriptors(0, 64)?.kind).toBe("refused"));

test("more tenants than a usual limit holds are a warning from 80 % on: those that no process has open cost nothing", () => {
  const warnings: string[] = [];
  assertDescriptors(251, (text) => warnings.push(text), 1024);
  expect(warnings).toEqual([]);
  assertDescriptors(252, (text) => warnings.push(text), 1024);
  expect(warnings.join()).toContain("a limit of 1024 open files, and 252 databases");
  expect(checkDescriptors(10_000, 4096)?.kind).toBe("warned");
});

test("where the limit is not known nothing is said, and on Linux it is known", () => {
  expect(checkDescriptors(10_000, undefined)).toBeUndefined();
  if (process.platform === "linux") expect(openFileLimit()).toBeGreaterThan(0);
});
