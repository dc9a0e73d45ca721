import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spoolBlockBytes } from "../../../src/http/spool/spooled-body.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { waitFor } from "../../support/http/raw-client.ts";
import { bodyOf, spoolFixture } from "../../support/http/spool.ts";

const shared = () => ({ memory: { total: 0 }, memoryBytesMax: 2 ** 20 });
const nothing = (): void => undefined;
const openBodies = (): string[] =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(join("/proc/self/fd", fd)).includes("/body-");
    } catch {
      return false; // that of the list itself
    }
  });

test("a body's file has no name, so that nothing is left of it however the process ends", async () => {
  using fixture = spoolFixture();
  const memory = shared();
  const body = fixture.spool.take(undefined, memory, nothing);
  body?.append(bodyOf(3 * spoolBlockBytes));
  await waitFor(() => memory.memory.total === 0);
  expect(readdirSync(fixture.folder)).toEqual([]);
  expect(openBodies().length).toBe(1);
  expect(statSync(fixture.folder).mode & 0o777).toBe(0o700);
  body?.release();
  await waitFor(() => openBodies().length === 0);
  expect([fixture.spool.bytes, ...fixture.results]).toEqual([0, "kept"]);
});

test("what a kill has left before its name was removed goes with the first body; other files stay", async () => {
  using fixture = spoolFixture();
  mkdirSync(fixture.folder);
  writeFileSync(join(fixture.folder, "body-00112233445566778899aabbccddeeff"), "");
  writeFileSync(join(fixture.folder, "body-of-a-letter"), "mine");
  const body = fixture.spool.take(undefined, shared(), nothing);
  body?.append(bodyOf(spoolBlockBytes));
  await waitFor(() => readdirSync(fixture.folder).length === 1);
  expect(readdirSync(fixture.folder)).toEqual(["body-of-a-letter"]);
  body?.release();
});

test("all bodies together stay within the bound: one of a known length begins only if it fits", () => {
  using fixture = spoolFixture({ bytesMax: 10 * spoolBlockBytes });
  const first = fixture.spool.take(6 * spoolBlockBytes - 5, shared(), nothing);
  expect(fixture.spool.take(5 * spoolBlockBytes, shared(), nothing)).toBeUndefined();
  const second = fixture.spool.take(undefined, { memory: { total: 0 }, memoryBytesMax: 2 ** 30 }, nothing);
  second?.append(bodyOf(4 * spoolBlockBytes));
  expect([second?.isHeld, fixture.spool.bytes]).toEqual([true, 10 * spoolBlockBytes]);
  second?.append(bodyOf(1));
  expect([second?.isHeld, fixture.spool.bytes]).toEqual([false, 6 * spoolBlockBytes]);
  first?.release();
  expect([fixture.spool.bytes, ...fixture.results]).toEqual([0, "full", "full", "kept"]);
});

test("without a bound nothing is kept or counted", () => {
  using fixture = spoolFixture({ bytesMax: 0 });
  expect([fixture.spool.take(1, shared(), nothing), ...fixture.results]).toEqual([undefined]);
});

test("a folder that cannot be used is told once, no body waits for it, and it is tried again later", async () => {
  const clock = new ManualClock();
  using fixture = spoolFixture({ clock });
  // A file in place of the folder.
  writeFileSync(fixture.folder, "");
  const spool = (): boolean => {
    const body = fixture.spool.take(undefined, shared(), nothing);
    body?.append(bodyOf(spoolBlockBytes));
    return body !== undefined;
  };
  expect(spool()).toBe(true);
  await waitFor(() => fixture.warnings.length === 1);
  expect(fixture.spool.warning).toContain("long request bodies are not kept for resending");
  expect(spool()).toBe(false);
  clock.advance(5_000);
  expect(spool()).toBe(true);
  await waitFor(() => fixture.spool.warning !== undefined);
  expect(fixture.warnings).toHaveLength(1);
  clock.advance(60_001);
  expect(fixture.spool.warning).toBeUndefined();
});

test("a write that succeeds ends the warning", async () => {
  const clock = new ManualClock();
  using fixture = spoolFixture({ clock });
  writeFileSync(fixture.folder, "");
  const spool = (): void => fixture.spool.take(undefined, shared(), nothing)?.append(bodyOf(spoolBlockBytes));
  spool();
  await waitFor(() => fixture.spool.warning !== undefined);
  rmSync(fixture.folder);
  clock.advance(5_000);
  spool();
  await waitFor(() => fixture.spool.warning === undefined);
  expect(fixture.warnings).toHaveLength(1);
});
