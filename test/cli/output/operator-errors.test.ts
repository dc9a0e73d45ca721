import { expect, test } from "bun:test";
import { asOperatorError, formatOperatorError } from "../../../src/cli/output/operator-errors.ts";
import { exitCodes } from "../../../src/cli/output/exit-codes.ts";
import { StoreError } from "../../../src/vault/store/store.ts";

test("an error of a lower layer keeps its own advice, and its area gives the exit code", () => {
  const error = asOperatorError(new StoreError("full", "no space in file:///v", "Make space."));
  expect(exitCodes[error?.area ?? "ok"]).toBe(4);
  expect(error === undefined ? "" : formatOperatorError(error)).toBe("stead: no space in file:///v\n  do: Make space.");
});

test("an error of the operating system gets the advice for its code", () => {
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  expect(asOperatorError(full)).toMatchObject({
    area: "resource",
    found: full.message,
    advice: expect.stringContaining("full"),
    cause: full,
  });
});

test("an unexpected error is no error of an operator", () => {
  expect(asOperatorError(new TypeError("x is not a function"))).toBeUndefined();
  expect(asOperatorError(Object.assign(new Error("x"), { code: "ENOENT" }))).toBeUndefined();
  expect(asOperatorError("text")).toBeUndefined();
});
