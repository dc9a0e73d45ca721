import { expect, test } from "bun:test";
import { OutputTail } from "../../../src/host/application/output-tail.ts";

function shownOf(text: string, ...secrets: readonly string[]): string {
  const tail = new OutputTail(secrets);
  tail.take(Buffer.from(text));
  return tail.text;
}

test("as much as is shown is shown whole; of more, the end after a mark", () => {
  expect(shownOf("x".repeat(1_000))).toBe("x".repeat(1_000));
  expect(shownOf(`y${"x".repeat(1_000)}`)).toBe(`… ${"x".repeat(1_000)}`);
});

test("lines are whole if they are short, without control characters and secrets", () => {
  expect(shownOf(`${"a".repeat(900)}\nshort ${"b".repeat(600)}`)).toBe(`… short ${"b".repeat(600)}`);
  expect(shownOf("\u001b[31mred\u001b[0m\r\nbell\u0007")).toBe("red\nbell?");
  expect(shownOf("key=0123456789", "0123456789")).toBe("key=[secret]");
});
