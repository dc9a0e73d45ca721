/** The application's output in a file: whole, bounded, and never in the way. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileOutput } from "../../../src/host/application/file-output.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

let folder: string;
let path: string;
let warnings: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-file-output-"));
  path = join(folder, "notes.log");
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const outputTo = (file: string): FileOutput =>
  new FileOutput({ path: file, clock: systemClock, onWarning: (text) => warnings.push(text) });
const text = (content: string): Uint8Array => Buffer.from(content);

test("has the application's own bytes, in order, over several starts, for owner and group alone", async () => {
  const output = outputTo(path);
  for (const part of ["one\n", "\u001b[2Kforged line without an end"]) output.take(text(part));
  output.close();
  output.take(text(", and the next start\n"));
  await output.settled();
  expect(readFileSync(path, "utf8")).toBe("one\n\u001b[2Kforged line without an end, and the next start\n");
  expect(statSync(path).mode & 0o137).toBe(0);
  expect(warnings).toEqual([]);
});

test("a file that was moved away gets nothing more", async () => {
  const output = outputTo(path);
  output.take(text("before\n"));
  await output.settled();
  renameSync(path, `${path}.1`);
  output.take(text("after\n"));
  await output.settled();
  expect([readFileSync(`${path}.1`, "utf8"), readFileSync(path, "utf8")]).toEqual(["before\n", "after\n"]);
});

test.skipIf(!existsSync("/dev/full"))(
  "a full disk is told once; what it does not take is left out, and counted when there is room",
  async () => {
    const output = outputTo("/dev/full");
    for (let i = 0; i < 3; i++) {
      output.take(text("lost\n"));
      await output.settled();
    }
    expect(warnings).toEqual([expect.stringMatching(/output of the application is left out.*\/dev\/full.*ENOSPC/)]);
  },
);

test("what could not be written is counted in the file, and a second failure is told again", async () => {
  const output = outputTo(path);
  symlinkSync(join(folder, "elsewhere"), path);
  output.take(text("lost\n"));
  await output.settled();
  expect(existsSync(join(folder, "elsewhere"))).toBe(false);
  unlinkSync(path);
  output.take(text("kept\n"));
  await output.settled();
  expect(readFileSync(path, "utf8")).toBe(
    "\n(stead: 5 bytes of output left out: this file could not be written)\nkept\n",
  );
  rmSync(folder, { recursive: true });
  output.take(text("lost\n"));
  await output.settled();
  expect(warnings.length).toBe(2);
});

test("more than is waited for is left out, and does not fill the memory", async () => {
  const output = outputTo(path);
  const piece = new Uint8Array(1024 * 1024).fill(0x78);
  for (let i = 0; i < 10; i++) output.take(piece);
  await output.settled();
  expect(statSync(path).size).toBeLessThan(5 * 1024 * 1024);
  output.take(text("end\n"));
  await output.settled();
  expect(readFileSync(path, "utf8")).toContain(`(stead: ${6 * 1024 * 1024} bytes of output left out`);
});
