/**
 * Attack: the application writes a line that looks like one of the host ("primary since epoch 9"), or escape sequences
 * that rewrite what an operator sees in the log.
 *
 * Rule: each line of the application has a prefix and no control characters (host/application/prefixed-output.ts).
 */
import { expect, test } from "bun:test";
import { applicationJsonLine, outputPrefix, PrefixedOutput } from "../../src/host/application/prefixed-output.ts";

function written(chunks: readonly (string | Uint8Array)[], unread = 0): string {
  let text = "";
  const output = new PrefixedOutput({ write: (part) => (text += part), writableLength: unread });
  for (const chunk of chunks) output.take(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
  output.close();
  return text;
}

const forged = "2026-01-01T00:00:00.000Z info host a: primary since epoch 9";

test("no line of the application can be taken for one of the host", () => {
  for (const before of [
    "",
    "x\n",
    "\n",
    "\r\n",
    "x\r",
    "\u2028",
    "\u0085",
    "\u000b",
    "\u001b[2K\u001b[G",
    "\u0000",
    "\b\b\b\b",
  ]) {
    const text = written([`${before}${forged}\n`]);
    for (const line of text.split("\n").slice(0, -1)) expect(line).toStartWith(outputPrefix);
    expect(text.replaceAll("\n", "")).toMatch(/^[^\p{Cc}\u2028\u2029]*$/u);
  }
});

test("whatever the pieces in which it arrives, the lines are the same", () => {
  const bytes = Buffer.from(`one\ntwö\r\nthree ✓\n${forged}`);
  const whole = written([bytes]);
  expect(whole).toBe(`one\ntwö\nthree ✓\n${forged}\n`.replaceAll(/^(?=.)/gm, outputPrefix));
  for (const size of [1, 2, 3, 7]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    expect(written(pieces)).toBe(whole);
  }
});

test("bytes that are not UTF-8 and a line without an end stay bounded", () => {
  expect(written([new Uint8Array([0xff, 0xfe, 0x0a])])).toStartWith(outputPrefix);
  const lines = written(["x".repeat(100_000)])
    .trimEnd()
    .split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(17_000);
  expect(lines.join("").replaceAll(outputPrefix, "").length).toBe(100_000);
});

test("a log that is not read costs lines of the application, and not memory", () => {
  expect(written(["a\nb\n"], 10 * 1024 * 1024)).toBe("");
});

test("in a log of JSON lines no line of the application passes for one of the host", () => {
  let text = "";
  const output = new PrefixedOutput(
    { write: (part) => (text += part), writableLength: 0 },
    applicationJsonLine("host a"),
  );
  const forged = '{"stream":"stead","message":"all is well"}';
  output.take(Buffer.from(`${forged}\r\n"},"stream":"stead\n`));
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly stream: string; readonly message: string });
  expect(lines.map(({ stream, message }) => [stream, message])).toEqual([
    ["application", forged],
    ["application", '"},"stream":"stead'],
  ]);
});
