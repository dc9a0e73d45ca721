import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KnownEndFile } from "../../../src/host/machine/known-end-file.ts";
import { KnownLog } from "../../../src/remote/known-end.ts";
import { systemClock } from "../../../src/runtime/clock.ts";

let stateFolder: string;
beforeEach(() => {
  stateFolder = mkdtempSync(join(tmpdir(), "stead-known-"));
});
afterEach(() => rmSync(stateFolder, { recursive: true }));

const open = (known: KnownLog, vaultId = "id", vaultUrl = "stead://vault1"): KnownEndFile =>
  KnownEndFile.open({ stateFolder, vaultUrl, vaultId, known, clock: systemClock, onFailure: () => undefined });

test("what a host knew is known to its next run, for the same vault alone", () => {
  const known = new KnownLog();
  const first = open(known);
  known.learn(7, Buffer.from("a record"));
  first.close();
  const [next, other] = [new KnownLog(), new KnownLog()];
  open(next).close();
  open(other, "another id").close();
  expect(next.end).toEqual(known.end);
  expect(other.end).toBeUndefined();
});

test("for a vault in a folder nothing is noted", () => {
  const known = new KnownLog();
  known.learn(7, Buffer.from("a record"));
  open(known, "id", "file:///srv/vault").close();
  expect(readdirSync(stateFolder)).toEqual([]);
});
