/** What a host tries before it is needed leaves nothing behind, and says so where it fails. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { warmUpCapture } from "../../../src/host/machine/warm-up.ts";
import { systemClock as clock } from "../../../src/runtime/clock.ts";

let stateFolder: string;
const warnings: string[] = [];
const onWarning = (text: string): void => void warnings.push(text);

beforeEach(() => {
  stateFolder = mkdtempSync(join(tmpdir(), "stead-warm-up-"));
  warnings.length = 0;
});
afterEach(() => rmSync(stateFolder, { recursive: true }));

test("capture works on a database of its own, and nothing of it stays", async () => {
  await warmUpCapture({ stateFolder, clock, onWarning });
  expect(warnings).toEqual([]);
  expect(readdirSync(stateFolder)).toEqual([]);
});

test("what a killed run left is no obstacle", async () => {
  mkdirSync(join(stateFolder, "warm-up"));
  writeFileSync(join(stateFolder, "warm-up", "warm-up.db"), "half");
  await warmUpCapture({ stateFolder, clock, onWarning });
  expect(warnings).toEqual([]);
});

test("a failure is a warning with its place, and no more", async () => {
  const missing = join(stateFolder, "missing");
  await warmUpCapture({ stateFolder: missing, clock, onWarning });
  expect(warnings).toEqual([expect.stringContaining(`capture could not be tried in ${join(missing, "warm-up")}: `)]);
});
