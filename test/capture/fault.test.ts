import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { CaptureError } from "../../src/capture/capture-error.ts";
import { faultOf, naming } from "../../src/capture/fault.ts";

const absent = "/proc/self/no-such-file";

test("work on a database names it in errors of the system, at once and later; other errors stay as they are", async () => {
  expect(() => naming("a.db", () => readFileSync(absent))).toThrow(expect.any(CaptureError));
  expect(() => naming("a.db", () => readFileSync(absent))).toThrow("a.db");
  await expect(naming("a.db", () => readFile(absent))).rejects.toThrow("a.db");
  const own = new RangeError("a fault of this program");
  expect(() =>
    naming("a.db", () => {
      throw own;
    }),
  ).toThrow(own);
  await expect(naming("a.db", () => Promise.reject(own))).rejects.toBe(own);
  expect(naming("a.db", () => 7)).toBe(7);
});

test("an error of the system holds responses, and one of this program ends the capture", () => {
  let found: unknown;
  try {
    readFileSync(absent);
  } catch (error) {
    found = error;
  }
  expect(faultOf(found)).toBeInstanceOf(CaptureError);
  expect(faultOf(new RangeError("x"))).toBeUndefined();
});
