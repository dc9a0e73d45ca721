import { expect, test } from "bun:test";
import { jsonLine, textLine } from "../../src/runtime/log.ts";

const entry = {
  time: "2026-01-02T03:04:05.006Z",
  level: "warn",
  process: "gateway gw1",
  what: "primary-lost",
  fields: { service: "notes", detail: 'kill, "a" is gone' },
} as const;

test("as text an event is one line for people", () => {
  expect(textLine(entry)).toBe(
    '2026-01-02T03:04:05.006Z warn gateway gw1: primary-lost service=notes detail="kill, \\"a\\" is gone"\n',
  );
});

test("as JSON an event is one object in one line, whatever its message has", () => {
  const line = jsonLine({ ...entry, what: "two\nlines", fields: { file: "a\nb" } });
  expect(line.split("\n")).toHaveLength(2);
  expect(JSON.parse(line)).toEqual({
    ...{ time: entry.time, level: "warn", stream: "stead", process: "gateway gw1", message: "two\nlines" },
    fields: { file: "a\nb" },
  });
});
