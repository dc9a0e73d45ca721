/** Over a vault in a folder, with a real database and SQLite's own check. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathOf } from "../../src/capture/data-path.ts";
import { checkIntegrity } from "../../src/capture/integrity.ts";
import { checksumOfPages } from "../../src/capture/page-hashes.ts";
import type { HostState } from "../../src/core/host/life.ts";
import type { RestoreTestResult } from "../../src/control/restore-test.ts";
import { RestoreTestFile } from "../../src/host/machine/restore-test-file.ts";
import { RestoreTests, type RestoreTestPorts } from "../../src/host/restore-tests.ts";
import { writeCheckpoint } from "../../src/vault/checkpoint/checkpoint.ts";
import { openLog } from "../../src/vault/log/open-log.ts";
import { ManualClock } from "../support/http/manual-clock.ts";
import { makeTemporaryVault, type TemporaryVault } from "../support/vault/temporary-vault.ts";

const pageSize = 4096;
const everyMs = 3_600_000;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let vault: TemporaryVault;
let folder = "";
beforeEach(async () => {
  vault = await makeTemporaryVault();
  folder = mkdtempSync(join(tmpdir(), "stead-restore-tests-"));
  mkdirSync(join(folder, "room"));
});
afterEach(async () => {
  await vault.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** The newest checkpoint has this position. */
async function checkpointAt(position: number): Promise<void> {
  const path = join(folder, `made-${position}.db`);
  const database = new Database(path);
  database.run(`PRAGMA page_size = ${pageSize}`);
  database.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)");
  for (let id = 1; id <= 100; id++) database.run("INSERT INTO notes VALUES (?, ?)", [id, `${position}-${id}`]);
  database.close();
  const bytes = readFileSync(path);
  await writeCheckpoint({
    ...{ store: vault.store, position, hash: "0".repeat(64), epoch: 0, epochPosition: 0, wallTimeMs: 1_000 },
    databases: [
      {
        ...{ name: "notes.db", pageSize, pageCount: bytes.length / pageSize },
        checksum: checksumOfPages(pageSize, 1, bytes),
        read: (offset, length) => Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length))),
      },
    ],
  });
}

function flipBitInChunk(): void {
  const chunks = readdirSync(join(vault.folder, "chunks"), { recursive: true, withFileTypes: true });
  const chunk = chunks.find((entry) => entry.isFile());
  if (chunk === undefined) throw new Error("the checkpoint has no chunk");
  const path = join(chunk.parentPath, chunk.name);
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  rmSync(path);
  writeFileSync(path, bytes);
}

function begin(change: Partial<RestoreTestPorts> = {}, role: HostState["kind"] = "secondary") {
  const clock = new ManualClock();
  const ended = Promise.withResolvers<void>();
  const file = new RestoreTestFile(folder);
  const host = { role };
  const checks: string[] = [];
  const tests = new RestoreTests({
    ports: {
      read: () => file.read(),
      write: (result) => file.write(result),
      check: (root, names) => {
        checks.push(...names);
        return Promise.resolve(names.map((name) => ({ name, ...checkIntegrity(pathOf(root, name), "full") })));
      },
      ...change,
    },
    ...{ host: "b", clock, log: silent, store: vault.store, role: () => host.role, onResult: () => ended.resolve() },
    openLog: (store) => openLog(store, { service: "notes", log: "objects" }),
    config: () => ({ schedule: { kind: "every", everyMs }, bytesPerSecond: Infinity, folder: join(folder, "room") }),
  });
  const result = async (): Promise<RestoreTestResult | undefined> => {
    tests.start();
    await ended.promise;
    await tests.close("the test is over");
    return tests.last;
  };
  return { clock, host, checks, tests, result, ended: ended.promise };
}

test("a whole vault passes, nothing of it stays, and the result is known to the next run, which waits for its time", async () => {
  await checkpointAt(0);
  const g = begin();
  expect(await g.result()).toMatchObject({ outcome: "passed", position: 0, detail: null });
  expect(g.checks).toEqual(["notes.db"]);
  expect(g.tests.last?.bytes).toBe(2 * pageSize);
  expect(readdirSync(join(folder, "room"))).toEqual([]);
  const again = begin();
  again.tests.start();
  expect(again.tests.last).toEqual(g.tests.last);
  again.clock.advance(everyMs - 10_000);
  expect(existsSync(join(folder, "room", "stead-restore-test-b"))).toBe(false);
  again.clock.advance(10_000);
  await again.ended;
  expect(again.tests.last).toMatchObject({ outcome: "passed", atMs: everyMs });
  await again.tests.close("the test is over");
});

test("a flipped bit in a chunk is found and named", async () => {
  await checkpointAt(0);
  flipBitInChunk();
  const result = await begin().result();
  expect(result).toMatchObject({ outcome: "failed", position: null, detail: expect.stringContaining("chunks/") });
});

test("a damaged newest checkpoint is a failure, although an older one gives the databases", async () => {
  await checkpointAt(0);
  const older = new Set(readdirSync(join(vault.folder, "chunks"), { recursive: true }).map(String));
  await checkpointAt(1);
  const newer = readdirSync(join(vault.folder, "chunks"), { recursive: true, withFileTypes: true }).find(
    (entry) => entry.isFile() && ![...older].some((path) => path.endsWith(entry.name)),
  );
  if (newer === undefined) throw new Error("the second checkpoint has no chunk of its own");
  rmSync(join(newer.parentPath, newer.name));
  const result = await begin().result();
  const detail = expect.stringContaining("the checkpoint at position 0 is used instead");
  expect(result).toMatchObject({ outcome: "failed", position: 0, detail });
});

test("without room, or in an empty vault, nothing is said about the vault", async () => {
  expect(await begin().result()).toMatchObject({ outcome: "skipped", detail: expect.stringContaining("empty") });
  await checkpointAt(0);
  rmSync(join(folder, "restore-test.json"));
  const disk = { free: () => Promise.resolve(100), device: () => Promise.resolve(1) };
  const result = await begin({ disk }).result();
  expect(result).toMatchObject({ outcome: "skipped", detail: expect.stringContaining("100 bytes are free") });
  expect(readdirSync(join(folder, "room"))).toEqual([]);
});

test("it ends at once when the host is needed, and only a secondary begins one", async () => {
  await checkpointAt(0);
  const g = begin({
    check: (_root, _names, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
        g.tests.abort("this host was asked to become primary");
      }),
  });
  expect(await g.result()).toMatchObject({ outcome: "skipped", detail: expect.stringContaining("become primary") });
  expect(readdirSync(join(folder, "room"))).toEqual([]);
  rmSync(join(folder, "restore-test.json"));
  const primary = begin({}, "primary");
  primary.tests.start();
  primary.clock.advance(everyMs);
  expect(primary.tests.last).toBeUndefined();
  primary.host.role = "secondary";
  primary.clock.advance(10_000);
  await primary.ended;
  expect(primary.tests.last?.outcome).toBe("passed");
  await primary.tests.close("the test is over");
});
