import { expect, test } from "bun:test";
import { Warnings } from "../../../src/host/ports/warnings.ts";

function warningsWithLog() {
  const logged: string[] = [];
  const log = {
    info: (text: string) => void logged.push(text),
    warn: (text: string) => void logged.push(text),
    error: () => undefined,
  };
  return { logged, warnings: new Warnings(log, () => undefined) };
}

test("the same text again and again is logged once and listed once", () => {
  const { logged, warnings } = warningsWithLog();
  for (const text of ["a", "a", "a"]) warnings.warn(text);
  expect(logged).toEqual(["a"]);
  expect(warnings.texts).toEqual(["a"]);
});

test("two causes in turn are each listed once, the newest last", () => {
  const { warnings } = warningsWithLog();
  for (const text of ["a", "b", "a"]) warnings.warn(text);
  expect(warnings.texts).toEqual(["b", "a"]);
});

test("old warnings make room for new ones", () => {
  const { warnings } = warningsWithLog();
  for (let number = 1; number <= 30; number++) warnings.warn(String(number));
  expect(warnings.texts.length).toBe(20);
  expect(warnings.texts.at(-1)).toBe("30");
  expect(warnings.texts[0]).toBe("11");
});

test("what lasts is listed with its newest text, and no longer when it is over; what happened stays", () => {
  const { logged, warnings } = warningsWithLog();
  warnings.warn("no space", "vault");
  warnings.warn("set aside");
  warnings.warn("no space", "vault");
  warnings.warn("no answer", "vault");
  warnings.warn("no checkpoint", "checkpoint");
  expect(warnings.texts).toEqual(["set aside", "no answer", "no checkpoint"]);
  warnings.over("vault");
  warnings.over("vault");
  expect(warnings.texts).toEqual(["set aside", "no checkpoint"]);
  expect(logged).toEqual(["no space", "set aside", "no answer", "no checkpoint", "resolved: vault"]);
});

test("a cause that comes back after it was over is logged and listed again", () => {
  const { logged, warnings } = warningsWithLog();
  warnings.warn("no space", "vault");
  warnings.over("vault");
  warnings.warn("no space", "vault");
  expect(warnings.texts).toEqual(["no space"]);
  expect(logged.filter((text) => text === "no space").length).toBe(2);
});
