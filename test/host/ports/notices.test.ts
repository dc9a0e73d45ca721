import { expect, test } from "bun:test";
import { Notices } from "../../../src/host/ports/notices.ts";

function noticesWithLog() {
  const logged: string[] = [];
  const log = {
    info: (text: string) => void logged.push(text),
    warn: (text: string) => void logged.push(text),
    error: () => undefined,
  };
  return { logged, notices: new Notices(log, () => undefined) };
}

test("the same text again and again is logged once and listed once", () => {
  const { logged, notices } = noticesWithLog();
  for (const text of ["a", "a", "a"]) notices.warn(text);
  expect(logged).toEqual(["a"]);
  expect(notices.warnings).toEqual(["a"]);
});

test("two troubles in turn are each listed once, the newest last", () => {
  const { notices } = noticesWithLog();
  for (const text of ["a", "b", "a"]) notices.warn(text);
  expect(notices.warnings).toEqual(["b", "a"]);
});

test("old warnings make room for new ones", () => {
  const { notices } = noticesWithLog();
  for (let number = 1; number <= 30; number++) notices.warn(String(number));
  expect(notices.warnings.length).toBe(20);
  expect(notices.warnings.at(-1)).toBe("30");
  expect(notices.warnings[0]).toBe("11");
});

test("what lasts is listed with its newest text, and no longer when it is over; what happened stays", () => {
  const { logged, notices } = noticesWithLog();
  notices.warn("no space", "vault");
  notices.warn("set aside");
  notices.warn("no space", "vault");
  notices.warn("no answer", "vault");
  notices.warn("no checkpoint", "checkpoint");
  expect(notices.warnings).toEqual(["set aside", "no answer", "no checkpoint"]);
  notices.over("vault");
  notices.over("vault");
  expect(notices.warnings).toEqual(["set aside", "no checkpoint"]);
  expect(logged).toEqual(["no space", "set aside", "no answer", "no checkpoint", "over: trouble with the vault"]);
});

test("trouble that comes back after it was over is logged and listed again", () => {
  const { logged, notices } = noticesWithLog();
  notices.warn("no space", "vault");
  notices.over("vault");
  notices.warn("no space", "vault");
  expect(notices.warnings).toEqual(["no space"]);
  expect(logged.filter((text) => text === "no space").length).toBe(2);
});
